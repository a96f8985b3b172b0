"""Which nights moved a figure, and how sure that is. Pure: numbers in, changes out."""
