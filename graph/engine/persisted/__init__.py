"""Documents that are asked for by an id: where they come from, and who may run them."""
