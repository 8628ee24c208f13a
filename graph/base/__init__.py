"""What every type stands on: fields, errors, scalars, paging, payloads."""
