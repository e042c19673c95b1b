"""What the steps of a run do: plan, process, record, merge."""
