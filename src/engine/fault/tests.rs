//! What clients read for the faults that they cause most.

use datafusion::common::{DFSchema, Result};
use datafusion::common::{field_not_found, plan_err};

use super::*;

fn schema() -> DFSchema {
    let fields = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new("tier", arrow::datatypes::DataType::Utf8, true)]);
    DFSchema::try_from_qualified_schema("customer_360", &fields).unwrap()
}

#[test]
fn a_missing_column_has_a_position_and_a_hint() {
    let error = field_not_found(None::<&str>, "tir", &schema());
    let message = client_message(&error, "SELECT tir FROM customer.customer_360");
    assert_eq!(message.sqlstate, SqlState::UNDEFINED_COLUMN);
    assert_eq!(message.message, "column \"tir\" does not exist");
    assert_eq!(message.position, Some(8));
    assert_eq!(message.hint.as_deref(), Some("Perhaps you meant to reference the column \"customer_360.tier\"."));
}

#[test]
fn a_missing_table_is_named_as_the_client_wrote_it() {
    let error: Result<()> = plan_err!("table 'mesh.customer.nope' not found");
    let message = client_message(&error.unwrap_err(), "SELECT * FROM customer.nope");
    assert_eq!((message.sqlstate, message.message.as_str()), (SqlState::UNDEFINED_TABLE, "relation \"customer.nope\" does not exist"));
    assert_eq!(message.position, Some(15));
}

#[test]
fn a_cast_never_tells_the_value() {
    let arrow = ArrowError::CastError("Cannot cast string 'secret to value of Utf8 type' to value of Int64 type".to_owned());
    let message = client_message(&DataFusionError::ArrowError(Box::new(arrow), None), "");
    assert_eq!(
        (message.sqlstate, message.message.as_str()),
        (SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bigint")
    );
}

#[test]
fn our_own_message_passes_through_every_wrapping() {
    let own = ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied");
    let error = DataFusionError::External(Box::new(own.clone())).context("while planning");
    let error = DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(error))), None);
    assert_eq!(client_message(&error, ""), own);
}

#[test]
fn a_syntax_error_names_the_token_and_its_place() {
    let sql = "SELECT 1\n  FROM t WHERE )";
    let message = client_message(&datafusion::sql::parser::DFParser::parse_sql(sql).unwrap_err(), sql);
    assert_eq!((message.sqlstate, message.message.as_str()), (SqlState::SYNTAX_ERROR, "syntax error at or near \")\""));
    assert_eq!(message.position, Some(25));
}

#[test]
fn an_internal_fault_tells_an_id_and_nothing_else() {
    let id = Uuid::from_u128(7);
    let error = DataFusionError::Internal("index 7 of /srv/data.parquet".to_owned());
    let message = told(client_message(&error, ""), id, &error);
    assert_eq!((message.sqlstate, message.message.as_str()), (SqlState::INTERNAL_ERROR, "internal error"));
    assert_eq!(message.detail, Some(format!("The error has the id {id}.")));
    assert_eq!(numbered(message.clone(), Uuid::nil()), message);
}

#[test]
fn the_log_of_a_fault_holds_no_literal_and_no_number() {
    assert_eq!(redacted("cast of 'Ada''s' and \"x\" to 4711 failed"), "cast of '…''…' and \"…\" to # failed");
}

#[test]
fn operators_and_functions_are_worded_as_in_postgresql() {
    let text = "Cannot infer common argument type for comparison operation Int64 = Boolean";
    let message = client_message(&DataFusionError::Plan(text.to_owned()), "");
    assert_eq!(message.message, "operator does not exist: bigint = boolean");
    let text = "Invalid function 'nope'.\nDid you mean 'now'?";
    let message = client_message(&DataFusionError::Plan(text.to_owned()), "SELECT nope()");
    assert_eq!((message.sqlstate, message.position), (SqlState::UNDEFINED_FUNCTION, Some(8)));
    let text = "No function matches the given name and argument types 'round(Utf8, Int64)'. You might need to add explicit type casts.";
    assert_eq!(client_message(&DataFusionError::Plan(text.to_owned()), "").message, "function round(text, bigint) does not exist");
    let text = "No function matches the given name and argument types 'meshgate_numeric(Date32)'.";
    let message = client_message(&DataFusionError::Plan(text.to_owned()), "");
    assert_eq!((message.sqlstate, message.message.as_str()), (SqlState::CANNOT_COERCE, "cannot cast type date to numeric"));
    let text = "substring without for/from is not valid Substring { expr: Identifier(Ident) }";
    assert_eq!(client_message(&DataFusionError::Plan(text.to_owned()), "").message, "function substring of one argument does not exist");
}

#[test]
fn planner_texts_with_engine_words_are_replaced() {
    let message = client_message(&DataFusionError::Plan("LogicalPlan of Utf8View went wrong".to_owned()), "");
    assert_eq!(message.message, "the statement cannot be planned as it is written");
    let message = client_message(&DataFusionError::NotImplemented("QUALIFY in subqueries.".to_owned()), "");
    assert_eq!((message.sqlstate, message.message.as_str()), (SqlState::FEATURE_NOT_SUPPORTED, "QUALIFY in subqueries"));
}

#[test]
fn misuses_of_clauses_have_their_own_codes() {
    let of = |text: &str| {
        let message = client_message(&DataFusionError::Plan(text.to_owned()), "SELECT 1::nope_q");
        (message.sqlstate, message.message)
    };
    let union = "Incompatible inputs for Union: Previous inputs were of type Int64, but got incompatible type Boolean on column 'x'";
    assert_eq!(of(union), (SqlState::DATATYPE_MISMATCH, "UNION types bigint and boolean cannot be matched".to_owned()));
    let filter = "Cannot create filter with non-boolean predicate 'Int64(1)' returning Int64";
    assert_eq!(of(filter), (SqlState::DATATYPE_MISMATCH, "argument of WHERE must be type boolean, not type bigint".to_owned()));
    let columns = "UNION queries have different number of columns";
    assert_eq!(of(columns), (SqlState::SYNTAX_ERROR, "each UNION query must have the same number of columns".to_owned()));
    let limit = "LIMIT must be >= 0, '-1' was provided";
    assert_eq!(of(limit), (SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative".to_owned()));
    let unknown = client_message(&DataFusionError::NotImplemented("Unsupported SQL type nope_q".to_owned()), "SELECT 1::nope_q");
    assert_eq!((unknown.sqlstate, unknown.position), (SqlState::UNDEFINED_OBJECT, Some(11)));
}

#[test]
fn a_day_that_does_not_exist_is_out_of_range_and_a_word_is_bad_syntax() {
    let of = |value: &str| {
        let text = format!("Cannot cast string '{value}' to value of Date32 type");
        client_message(&DataFusionError::ArrowError(Box::new(ArrowError::CastError(text)), None), "").sqlstate
    };
    assert_eq!(of("2026-13-01"), SqlState::DATETIME_FIELD_OVERFLOW);
    assert_eq!(of("soon"), SqlState::INVALID_DATETIME_FORMAT);
}

#[test]
fn words_of_the_planner_are_told_of_a_statement_and_never_of_rows() {
    let of = |text: &str| {
        let not_yet = ArrowError::NotYetImplemented(text.to_owned());
        [
            DataFusionError::Plan(text.to_owned()),
            DataFusionError::NotImplemented(text.to_owned()),
            DataFusionError::ArrowError(Box::new(not_yet), None),
            DataFusionError::External(Box::new(DataFusionError::Plan(text.to_owned()))).context("while it was computed"),
        ]
    };
    for error in of("Regression of Alice Smith is not possible") {
        let (planning, running) = (client_message(&error, ""), in_phase(Phase::Running, &error, ""));
        assert_eq!(planning.message, "regression of Alice Smith is not possible");
        assert!(!running.message.contains("Alice"), "{}", running.message);
        let states = [SqlState::DATA_EXCEPTION, SqlState::FEATURE_NOT_SUPPORTED];
        assert!(states.contains(&running.sqlstate), "{running:?}");
    }
    let divided = DataFusionError::Plan("Divide by zero: Alice".to_owned());
    assert_eq!(in_phase(Phase::Running, &divided, "").sqlstate, SqlState::DIVISION_BY_ZERO);
    let column = field_not_found(None::<&str>, "Alice", &schema());
    assert_eq!(in_phase(Phase::Running, &column, "").message, "internal error");
}
