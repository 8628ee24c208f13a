"""What an error does to the data around it, as the client asks with `onError`.

Source: graphql/graphql-spec pull request 1163 (error behaviour).
"""

from __future__ import annotations

from enum import Enum

from graphql import GraphQLError, GraphQLOutputType, located_error
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.pyutils import Path


class ErrorBehavior(Enum):
    """PROPAGATE is the specification's of today, and the default."""

    NULL = "NULL"  # a field with an error is null, whatever its type; nothing else is lost
    PROPAGATE = "PROPAGATE"  # a null that is not allowed makes the parent null
    HALT = "HALT"  # the first error ends the operation: no data, one error


class NullingExecutor(ExecutorThrowingOnIncremental):
    """graphql-core where an error nulls its own position alone."""

    def handle_field_error(
        self,
        raw_error: Exception,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        path: Path,
    ) -> None:
        """Collect the error; the value is null."""
        self.collected_errors.add(_locate(raw_error, field_details_list, path), path)


class HaltingExecutor(ExecutorThrowingOnIncremental):
    """graphql-core where the first error reaches the root."""

    def handle_field_error(
        self,
        raw_error: Exception,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        path: Path,
    ) -> None:
        """Let no position keep the error.

        Raises:
            GraphQLError: always.
        """
        raise _locate(raw_error, field_details_list, path)


def _locate(error: Exception, fields: FieldDetailsList, path: Path) -> GraphQLError:
    return located_error(error, [details.node for details in fields], path.as_list())


CORE_EXECUTORS: dict[ErrorBehavior, type[ExecutorThrowingOnIncremental]] = {
    ErrorBehavior.NULL: NullingExecutor,
    ErrorBehavior.PROPAGATE: ExecutorThrowingOnIncremental,
    ErrorBehavior.HALT: HaltingExecutor,
}
