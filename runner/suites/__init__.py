"""What is asked: suite files, and the cases that they come to. The suites that ship lie here."""
