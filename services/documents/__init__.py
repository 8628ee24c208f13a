"""Documents that requests name by an id: their ids, their store, and who may send others."""
