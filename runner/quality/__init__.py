"""What quantization costs: tensor by tensor (the ledger), and in the task's own measure."""
