"""Errors of documents, coded, and small enough to be remembered."""

from __future__ import annotations

from graphql import GraphQLError, GraphQLSyntaxError

from services.errors import CodedError, CostLimitExceeded

_PARSER_LIMIT_SUFFIX = "Parsing aborted."


def as_graphql_error(error: CodedError) -> GraphQLError:
    """Wrap a coded error, whose code the answer then has."""
    return GraphQLError(error.message, original_error=error)


def as_limit_error(error: GraphQLError) -> GraphQLError:
    """Turn the parser's token limit, known by its message, into a coded error."""
    if isinstance(error, GraphQLSyntaxError) and error.message.endswith(_PARSER_LIMIT_SUFFIX):
        return as_graphql_error(CostLimitExceeded(error.message.removeprefix("Syntax Error: ")))
    return error


def without_sources(error: GraphQLError) -> GraphQLError:
    """Copy an error without what it would keep alive: syntax trees, the text, tracebacks."""
    cause = error.original_error
    if cause is not None:
        cause = cause.with_traceback(None)
        cause.__cause__ = cause.__context__ = None
    bare = GraphQLError(error.message, original_error=cause)
    bare.locations = error.locations
    return bare
