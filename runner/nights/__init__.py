"""What cron does: a night, made of everything else."""
