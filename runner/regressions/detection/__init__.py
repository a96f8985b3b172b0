"""One series: values in, changes out. Pure."""
