"""What people read: rows in, words out."""
