"""What a pipeline is at work on: its listing, plan, earlier results, shards and gathered outputs."""
