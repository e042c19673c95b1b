"""What curator costs: ratios and differences from one run, printed as a Markdown table."""
