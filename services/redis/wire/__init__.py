"""Short commands on one pipelined connection to a server, opened by redis-py, then ours."""
