"""What clients see, and how it is run. The only room that speaks Strawberry and graphql-core."""
