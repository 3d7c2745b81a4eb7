//! The SQLSTATE codes that meshgate uses (PostgreSQL, Appendix A).

/// A five-letter SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl SqlState {
            $($(#[$doc])* pub const $name: SqlState = SqlState($code);)*
        }
    };
}

codes! {
    /// Nothing is wrong: the code of a notice.
    SUCCESSFUL_COMPLETION = "00000";
    /// A cursor's query was limited, or a rule applied: a notice, not an error.
    WARNING = "01000";
    /// COMMIT or ROLLBACK without a transaction: a warning.
    NO_ACTIVE_TRANSACTION = "25P01";
    /// BEGIN within a transaction: a warning.
    ACTIVE_TRANSACTION = "25001";
    /// The message does not follow the protocol.
    PROTOCOL_VIOLATION = "08P01";
    /// The connection to a source broke.
    CONNECTION_FAILURE = "08006";
    /// Not supported.
    FEATURE_NOT_SUPPORTED = "0A000";
    /// More than one row from a scalar subquery.
    CARDINALITY_VIOLATION = "21000";
    /// Bytes that are no text in the client's encoding.
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    /// A letter that an encoding does not have.
    UNTRANSLATABLE_CHARACTER = "22P05";
    /// A number does not fit its type.
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    /// A date or time does not exist or does not fit.
    DATETIME_FIELD_OVERFLOW = "22008";
    /// A field of an interval does not fit.
    INTERVAL_FIELD_OVERFLOW = "22015";
    /// A text that is no date or time.
    INVALID_DATETIME_FORMAT = "22007";
    /// Division by zero.
    DIVISION_BY_ZERO = "22012";
    /// A NULL where there must be a value.
    NULL_VALUE_NOT_ALLOWED = "22004";
    /// An object of another kind is meant.
    WRONG_OBJECT_TYPE = "42809";
    /// An identifier is longer than is kept: a notice.
    NAME_TOO_LONG = "42622";
    /// An array of a length or form that does not fit.
    ARRAY_SUBSCRIPT_ERROR = "2202E";
    /// A JSON path finds no number where it wants one.
    NON_NUMERIC_SQL_JSON_ITEM = "22036";
    /// A JSON path's subscript is none of the array's.
    INVALID_SQL_JSON_SUBSCRIPT = "22033";
    /// A JSON path finds several items, or none, where it wants one.
    SINGLETON_SQL_JSON_ITEM_REQUIRED = "22038";
    /// A JSON path finds no array where it wants one.
    SQL_JSON_ARRAY_NOT_FOUND = "22039";
    /// A JSON path finds no member of its key.
    SQL_JSON_MEMBER_NOT_FOUND = "2203A";
    /// A JSON path computes with what is no number.
    SQL_JSON_NUMBER_NOT_FOUND = "2203B";
    /// A JSON path finds no object where it wants one.
    SQL_JSON_OBJECT_NOT_FOUND = "2203C";
    /// A percentage of a sample that is none.
    INVALID_TABLESAMPLE_ARGUMENT = "2202H";
    /// A parameter's value is out of its range.
    INVALID_PARAMETER_VALUE = "22023";
    /// A length of a substring below zero.
    SUBSTRING_ERROR = "22011";
    /// The square root of a negative number.
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = "2201F";
    /// An OFFSET below zero.
    INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = "2201X";
    /// A LIMIT below zero.
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = "2201W";
    /// A text that is no value of the type.
    INVALID_TEXT_REPRESENTATION = "22P02";
    /// Bytes that are no value of the type.
    INVALID_BINARY_REPRESENTATION = "22P03";
    /// A regular expression that does not parse.
    INVALID_REGULAR_EXPRESSION = "2201B";
    /// An escape of a pattern that is no letter.
    INVALID_ESCAPE_SEQUENCE = "22025";
    /// A logarithm that is not there.
    INVALID_ARGUMENT_FOR_LOGARITHM = "2201E";
    /// Buckets that cannot be.
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET = "2201G";
    /// `ntile(0)`.
    INVALID_ARGUMENT_FOR_NTILE = "22014";
    /// `nth_value(x, 0)`.
    INVALID_ARGUMENT_FOR_NTH_VALUE = "22016";
    /// A window frame that begins or ends a negative distance away.
    INVALID_PRECEDING_OR_FOLLOWING_SIZE = "22013";
    /// Another fault of a value.
    DATA_EXCEPTION = "22000";
    /// A write on a read-only gateway.
    READ_ONLY_SQL_TRANSACTION = "25006";
    /// A transaction was idle for too long.
    IDLE_IN_TRANSACTION_TIMEOUT = "25P03";
    /// The transaction has failed; only its end is accepted.
    IN_FAILED_SQL_TRANSACTION = "25P02";
    /// No such prepared statement.
    INVALID_SQL_STATEMENT_NAME = "26000";
    /// No such login.
    INVALID_AUTHORIZATION_SPECIFICATION = "28000";
    /// Wrong password.
    INVALID_PASSWORD = "28P01";
    /// No such cursor or portal.
    INVALID_CURSOR_NAME = "34000";
    /// What a query was decided on has changed since it began.
    SERIALIZATION_FAILURE = "40001";
    /// Sessions wait for each other in a circle.
    DEADLOCK_DETECTED = "40P01";
    /// A cursor is declared as what cannot be together.
    INVALID_CURSOR_DEFINITION = "42P11";
    /// No such savepoint.
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    /// No such database.
    INVALID_CATALOG_NAME = "3D000";
    /// No such schema.
    INVALID_SCHEMA_NAME = "3F000";
    /// Permission denied.
    INSUFFICIENT_PRIVILEGE = "42501";
    /// Syntax error.
    SYNTAX_ERROR = "42601";
    /// No such column.
    UNDEFINED_COLUMN = "42703";
    /// No such setting or other object.
    UNDEFINED_OBJECT = "42704";
    /// No such table.
    UNDEFINED_TABLE = "42P01";
    /// No such parameter.
    UNDEFINED_PARAMETER = "42P02";
    /// No such function or operator.
    UNDEFINED_FUNCTION = "42883";
    /// A column name that could mean several.
    AMBIGUOUS_COLUMN = "42702";
    /// A function that could mean several.
    AMBIGUOUS_FUNCTION = "42725";
    /// A column outside GROUP BY.
    GROUPING_ERROR = "42803";
    /// Types that do not fit.
    DATATYPE_MISMATCH = "42804";
    /// A cast that does not exist.
    CANNOT_COERCE = "42846";
    /// A parameter whose type cannot be told.
    INDETERMINATE_DATATYPE = "42P18";
    /// A parameter has different types in different places.
    AMBIGUOUS_PARAMETER = "42P08";
    /// A cursor of that name is open.
    DUPLICATE_CURSOR = "42P03";
    /// A prepared statement of that name exists.
    DUPLICATE_PREPARED_STATEMENT = "42P05";
    /// A column named twice.
    DUPLICATE_COLUMN = "42701";
    /// A table alias used twice.
    DUPLICATE_ALIAS = "42712";
    /// Another misuse of SQL.
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = "42000";
    /// A wrong reference to a column.
    INVALID_COLUMN_REFERENCE = "42P10";
    /// A recursive query of another form than recursion takes.
    INVALID_RECURSION = "42P19";
    /// A window function where there is none.
    WINDOWING_ERROR = "42P20";
    /// Not possible in the current state.
    OBJECT_NOT_IN_PREREQUISITE_STATE = "55000";
    /// A setting that cannot change now.
    CANT_CHANGE_RUNTIME_PARAM = "55P02";
    /// A lock was not to be had in time.
    LOCK_NOT_AVAILABLE = "55P03";
    /// Cancelled, or past its deadline.
    QUERY_CANCELED = "57014";
    /// The gateway shuts down.
    ADMIN_SHUTDOWN = "57P01";
    /// The gateway is not ready.
    CANNOT_CONNECT_NOW = "57P03";
    /// A session was idle for too long.
    IDLE_SESSION_TIMEOUT = "57P05";
    /// The disk is full.
    DISK_FULL = "53100";
    /// Out of memory.
    OUT_OF_MEMORY = "53200";
    /// Too many connections.
    TOO_MANY_CONNECTIONS = "53300";
    /// A limit of rows, bytes or the like.
    CONFIGURATION_LIMIT_EXCEEDED = "53400";
    /// The statement nests too deeply or is too long.
    STATEMENT_TOO_COMPLEX = "54001";
    /// Some other limit of the program.
    PROGRAM_LIMIT_EXCEEDED = "54000";
    /// A SELECT list is too long.
    TOO_MANY_COLUMNS = "54011";
    /// Input or output failed at a source.
    IO_ERROR = "58030";
    /// A port failed.
    FDW_ERROR = "HV000";
    /// A port cannot be reached.
    FDW_UNABLE_TO_ESTABLISH_CONNECTION = "HV00N";
    /// A port's data does not have the contract's columns.
    FDW_INCONSISTENT_DESCRIPTOR_INFORMATION = "HV021";
    /// Our own fault.
    INTERNAL_ERROR = "XX000";
    /// Data at a source is corrupt.
    DATA_CORRUPTED = "XX001";
}

impl SqlState {
    /// The five letters.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl std::fmt::Display for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}
