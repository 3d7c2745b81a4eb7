//! The parser's PostgreSQL, where it is not quite PostgreSQL's: names of arguments, precedence, grouping sets within grouping sets.
//!
//! The library takes an argument's name for any expression, and reads each argument once for its name and once more for its value, so that
//! calls within calls take twice as long with each level. Here a name is an identifier, as PostgreSQL has it, and is read once.
//! All operators that are not arithmetic or comparisons are of one rank, in front of a value, too; `IS DISTINCT FROM` ends before AND.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, UnaryOperator};
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

const POSTGRES: PostgreSqlDialect = PostgreSqlDialect {};

/// Words of other dialects, which are names in PostgreSQL.
const NAMES: [Keyword; 5] = [Keyword::TOP, Keyword::SORT, Keyword::VIEW, Keyword::MINUS, Keyword::DISTRIBUTE];
/// Others, which the library takes for names of columns only.
const TABLE_NAMES: [Keyword; 7] =
    [Keyword::FORMAT, Keyword::SAMPLE, Keyword::SETTINGS, Keyword::START, Keyword::OUTPUT, Keyword::OPEN, Keyword::GLOBAL];

/// What statements are parsed by.
#[derive(Debug)]
pub(super) struct PgDialect;

macro_rules! as_in_postgres {
    ($($name:ident($($argument:ident: $of:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $of),*) -> $result {
            POSTGRES.$name($($argument),*)
        })*
    };
}

impl Dialect for PgDialect {
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn is_column_alias(&self, word: &Keyword, parser: &mut Parser<'_>) -> bool {
        NAMES.contains(word) || POSTGRES.is_column_alias(word, parser)
    }

    fn is_table_alias(&self, word: &Keyword, parser: &mut Parser<'_>) -> bool {
        NAMES.contains(word) || TABLE_NAMES.contains(word) || POSTGRES.is_table_alias(word, parser)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk => Some(Ok(self.prec_value(Precedence::PgOther))),
            Token::Word(word) if word.keyword == Keyword::OPERATOR => Some(Ok(self.prec_value(Precedence::PgOther))),
            _ => POSTGRES.get_next_precedence(parser),
        }
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let op = match &parser.peek_token_ref().token {
            Token::Tilde => UnaryOperator::BitwiseNot,
            Token::AtSign => UnaryOperator::PGAbs,
            Token::PGSquareRoot => UnaryOperator::PGSquareRoot,
            Token::PGCubeRoot => UnaryOperator::PGCubeRoot,
            Token::Word(word) if word.keyword == Keyword::GROUPING => return nested_sets(parser),
            _ => return None,
        };
        parser.advance_token();
        let operand = parser.parse_subexpr(self.prec_value(Precedence::PgOther));
        Some(operand.map(|expr| Expr::UnaryOp { op, expr: Box::new(expr) }))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        let distinct = parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]);
        if !distinct && !parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            return None;
        }
        let (left, right) = (Box::new(left.clone()), parser.parse_subexpr(precedence).map(Box::new));
        let compared = if distinct { Expr::IsDistinctFrom } else { Expr::IsNotDistinctFrom };
        Some(right.map(|right| compared(left, right)))
    }

    // INVARIANT: all that the library's own dialect says otherwise than the default.
    as_in_postgres! {
        identifier_quote_style(identifier: &str) -> Option<char>;
        is_delimited_identifier_start(ch: char) -> bool;
        is_identifier_start(ch: char) -> bool;
        is_identifier_part(ch: char) -> bool;
        supports_unicode_string_literal() -> bool;
        is_reserved_for_identifier(keyword: Keyword) -> bool;
        is_custom_operator_part(ch: char) -> bool;
        supports_filter_during_aggregation() -> bool;
        supports_group_by_expr() -> bool;
        prec_value(precedence: Precedence) -> u8;
        allow_extract_custom() -> bool;
        allow_extract_single_quotes() -> bool;
        supports_create_index_with_clause() -> bool;
        supports_explain_with_utility_options() -> bool;
        supports_listen_notify() -> bool;
        supports_factorial_operator() -> bool;
        supports_bitwise_shift_operators() -> bool;
        supports_comment_on() -> bool;
        supports_load_extension() -> bool;
        supports_named_fn_args_with_colon_operator() -> bool;
        supports_empty_projections() -> bool;
        supports_nested_comments() -> bool;
        supports_string_escape_constant() -> bool;
        supports_numeric_literal_underscores() -> bool;
        supports_array_typedef_with_brackets() -> bool;
        supports_geometric_types() -> bool;
        supports_set_names() -> bool;
        supports_alter_column_type_using() -> bool;
        supports_notnull_operator() -> bool;
        supports_interval_options() -> bool;
        supports_insert_table_alias() -> bool;
        supports_create_table_like_parenthesized() -> bool;
        supports_select_wildcard_with_alias() -> bool;
        supports_comma_separated_trim() -> bool;
        supports_xml_expressions() -> bool;
        supports_comment_optimizer_hint() -> bool;
    }
}

/// `GROUPING SETS (…)` among the sets of another.
fn nested_sets(parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
    let sets = matches!(&parser.peek_nth_token_ref(1).token, Token::Word(word) if word.keyword == Keyword::SETS);
    if !sets || parser.peek_nth_token_ref(2).token != Token::LParen {
        return None;
    }
    (0..3).for_each(|_| parser.advance_token());
    let sets = parser.parse_comma_separated(|parser| {
        if parser.peek_token_ref().token == Token::LParen && parser.peek_nth_token_ref(1).token == Token::RParen {
            (0..2).for_each(|_| parser.advance_token());
            return Ok(Vec::new());
        }
        Ok(match parser.parse_expr()? {
            Expr::Tuple(keys) => keys,
            Expr::Nested(key) => vec![*key],
            key => vec![key],
        })
    });
    Some(sets.and_then(|sets| parser.expect_token(&Token::RParen).map(|_| Expr::GroupingSets(sets))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_read_once_at_every_depth() {
        let nested = (0..60).fold("1".to_owned(), |inner, _| format!("abs({inner})"));
        let parsed = Parser::new(&PgDialect).with_recursion_limit(400).try_with_sql(&nested).unwrap().parse_expr().unwrap();
        assert_eq!(parsed.to_string(), nested);
    }

    #[test]
    fn arguments_have_names() {
        for text in ["make_interval(days => 10)", "make_interval(days := 10, hours := f(2))"] {
            let parsed = Parser::new(&PgDialect).try_with_sql(text).unwrap().parse_expr().unwrap();
            assert_eq!(parsed.to_string(), text);
        }
    }

    fn tree(sql: &str) -> Expr {
        Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap()
    }

    #[test]
    fn an_operand_ends_where_it_does_in_postgres() {
        for (plain, grouped) in [
            ("a IS DISTINCT FROM b OR c", "(a IS DISTINCT FROM b) OR c"),
            ("x AND a IS NOT DISTINCT FROM b + 1 AND y", "x AND (a IS NOT DISTINCT FROM (b + 1)) AND y"),
            ("a IS DISTINCT FROM b = c", "a IS DISTINCT FROM (b = c)"),
            ("NOT a IS DISTINCT FROM b", "NOT (a IS DISTINCT FROM b)"),
            ("a ~ b || c", "(a ~ b) || c"),
            ("a ~ 'x' = b", "(a ~ 'x') = b"),
            ("~ a + 1", "~ (a + 1)"),
            ("@ a - 5 > 3", "(@ (a - 5)) > 3"),
            ("|/ a * 2", "|/ (a * 2)"),
            ("~ a & b", "(~ a) & b"),
        ] {
            let bare = |expr: Expr| expr.to_string().replace(['(', ')'], "");
            assert_eq!(bare(tree(plain)), bare(tree(grouped)));
            assert_eq!(shape(&tree(plain)), shape(&tree(grouped)), "{plain}");
        }
    }

    /// The tree with every operator's operands in brackets.
    fn shape(expr: &Expr) -> String {
        match expr {
            Expr::Nested(inner) => shape(inner),
            Expr::BinaryOp { left, op, right } => format!("[{} {op} {}]", shape(left), shape(right)),
            Expr::UnaryOp { op, expr } => format!("[{op} {}]", shape(expr)),
            Expr::IsDistinctFrom(left, right) => format!("[{} <> {}]", shape(left), shape(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("[{} == {}]", shape(left), shape(right)),
            other => other.to_string(),
        }
    }

    #[test]
    fn words_of_other_dialects_are_names() {
        let sql = "SELECT a top, b sort, (c)[1:2] view FROM t start JOIN u sample ON start.x = sample.x";
        let parsed = Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_query().unwrap();
        let spelled = "SELECT a AS top, b AS sort, (c)[1:2] AS view FROM t start JOIN u sample ON start.x = sample.x";
        assert_eq!(parsed.to_string(), spelled);
    }

    #[test]
    fn sets_are_read_within_sets() {
        assert!(matches!(tree("GROUPING SETS (a, (b, c), ())"), Expr::GroupingSets(sets) if sets.iter().map(Vec::len).eq([1, 2, 0])));
        assert!(matches!(tree("grouping(a)"), Expr::Function(_)));
    }
}
