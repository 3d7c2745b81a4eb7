//! Functions that stand behind operators of JSON, as these: `jsonb_concat(a, b)` is `a || b`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::spelling::cast_to;

/// The operator that a function of two values is.
fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "jsonb_concat" => BinaryOperator::StringConcat,
        "jsonb_delete" => BinaryOperator::Minus,
        "jsonb_delete_path" => BinaryOperator::HashMinus,
        "jsonb_contains" => BinaryOperator::AtArrow,
        "jsonb_contained" => BinaryOperator::ArrowAt,
        "jsonb_exists" => BinaryOperator::Question,
        "jsonb_exists_any" => BinaryOperator::QuestionPipe,
        "jsonb_exists_all" => BinaryOperator::QuestionAnd,
        "jsonb_path_exists_opr" => BinaryOperator::AtQuestion,
        "jsonb_path_match_opr" => BinaryOperator::AtAt,
        "json_object_field" | "json_array_element" | "jsonb_object_field" | "jsonb_array_element" => BinaryOperator::Arrow,
        "json_object_field_text" | "json_array_element_text" | "jsonb_object_field_text" | "jsonb_array_element_text" => {
            BinaryOperator::LongArrow
        }
        _ => return None,
    })
}

/// What stands for such a call; `None` if it is another.
pub(super) fn respelled(function: &Function, name: &str) -> Option<Expr> {
    let op = operator(name)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(left)), FunctionArg::Unnamed(FunctionArgExpr::Expr(right))] = list.args.as_slice()
    else {
        return None;
    };
    let json = |value: &Expr| cast_to(value.clone(), if name.starts_with("jsonb") { DataType::JSONB } else { DataType::JSON });
    let both = matches!(name, "jsonb_concat" | "jsonb_contains" | "jsonb_contained");
    let right = if both { json(right) } else { Expr::Nested(Box::new(right.clone())) };
    Some(Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(json(left)), op, right: Box::new(right) })))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::engine::sql::dialect::PgDialect;
    use crate::engine::sql::spelling::last;

    #[test]
    fn a_call_is_its_operator() {
        for (sql, spelled) in [
            ("jsonb_concat(a, b)", Some("(CAST(a AS JSONB) || CAST(b AS JSONB))")),
            ("jsonb_delete(a, 'k')", Some("(CAST(a AS JSONB) - ('k'))")),
            ("json_array_element_text(a, 1)", Some("(CAST(a AS JSON) ->> (1))")),
            ("jsonb_set(a, b)", None),
        ] {
            let Expr::Function(function) = Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap() else {
                panic!("{sql}")
            };
            let found = respelled(&function, &last(&function.name)).map(|expr| expr.to_string());
            assert_eq!(found.as_deref(), spelled, "{sql}");
        }
    }
}
