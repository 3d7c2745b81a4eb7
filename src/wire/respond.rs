//! What goes back to a client, but for the rows.

use pgwire::messages::data::{FieldDescription, ParameterDescription, RowDescription};
use pgwire::messages::response::{ErrorResponse, NoticeResponse, TransactionStatus as WireStatus};

use crate::engine::{Column, Format, Notice, PgType, TransactionStatus};
use crate::error::ClientMessage;

use super::frontend::format_of;

/// An error after which the session goes on.
pub(super) fn error(message: &ClientMessage) -> ErrorResponse {
    ErrorResponse::new(fields("ERROR", message))
}

/// An error that ends the connection.
pub(super) fn fatal(message: &ClientMessage) -> ErrorResponse {
    ErrorResponse::new(fields("FATAL", message))
}

/// A message beside the result.
pub(super) fn notice(notice: &Notice) -> NoticeResponse {
    NoticeResponse::new(fields(notice.severity, &notice.message))
}

fn fields(severity: &str, message: &ClientMessage) -> Vec<(u8, String)> {
    let position = message.position.map(|position| position.to_string());
    let names = &message.names;
    [
        (b'S', Some(severity)),
        (b'V', Some(severity)),
        (b'C', Some(message.sqlstate.as_str())),
        (b'M', Some(message.message.as_str())),
        (b'D', message.detail.as_deref()),
        (b'H', message.hint.as_deref()),
        (b'P', position.as_deref()),
        (b's', names.schema.as_deref()),
        (b't', names.table.as_deref()),
        (b'c', names.column.as_deref()),
    ]
    .into_iter()
    .filter_map(|(code, value)| value.map(|value| (code, without_nul(value))))
    .collect()
}

/// A NUL would end the field early and shift everything after it.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// The columns of a result.
pub(super) fn row_description(columns: &[Column], formats: &[Format]) -> RowDescription {
    let field = |(index, column): (usize, &Column)| {
        FieldDescription::new(
            without_nul(&column.name),
            column.table_oid.cast_signed(),
            column.number,
            column.pg_type.oid,
            column.pg_type.len,
            column.pg_type.typmod,
            format_code(format_of(formats, index)),
        )
    };
    RowDescription::new(columns.iter().enumerate().map(field).collect())
}

/// The parameters of a statement.
pub(super) fn parameter_description(parameters: &[PgType]) -> ParameterDescription {
    ParameterDescription::new(parameters.iter().map(|parameter| parameter.oid).collect())
}

/// A format's number.
pub(super) fn format_code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

/// The transaction's state as ReadyForQuery shows it.
pub(super) fn status(status: TransactionStatus) -> WireStatus {
    match status {
        TransactionStatus::Idle => WireStatus::Idle,
        TransactionStatus::Active => WireStatus::Transaction,
        TransactionStatus::Failed => WireStatus::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SqlState;

    #[test]
    fn an_error_carries_every_field_that_is_known() {
        let mut message = ClientMessage::new(SqlState::UNDEFINED_COLUMN, "no\0 column").with_detail("d").with_hint("h").with_position(7);
        message.names.schema = Some("s".into());
        message.names.table = Some("t".into());
        message.names.column = Some("c".into());
        let shown: Vec<(char, String)> = error(&message).fields.into_iter().map(|(code, value)| (char::from(code), value)).collect();
        let expected = [
            ('S', "ERROR"),
            ('V', "ERROR"),
            ('C', "42703"),
            ('M', "no column"),
            ('D', "d"),
            ('H', "h"),
            ('P', "7"),
            ('s', "s"),
            ('t', "t"),
            ('c', "c"),
        ];
        assert_eq!(shown, expected.map(|(code, value)| (code, value.to_owned())));
    }
}
