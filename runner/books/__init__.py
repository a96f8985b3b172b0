"""What is written into the books without a run: decisions of people, figures of other tools."""
