//! Reads an expression and types it as it goes: what comes out can be evaluated.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::lexer::{Token, tokens};
use super::{
    Arithmetic, BYTES_MAX, Comparison, Decimal, Expression, ExpressionColumn, ExpressionFault, Function, Kind, Node, Value, characters_max,
    functions,
};
use crate::product::{DataType, FieldName};

const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 256;
/// A regular expression that compiles to more than this is refused.
const REGEX_BYTES_MAX: usize = 1 << 18;

/// Words that are no columns.
const KEYWORDS: [&str; 17] =
    ["and", "or", "not", "is", "null", "in", "like", "ilike", "between", "case", "when", "then", "else", "end", "true", "false", "from"];

/// A node and what it is.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) node: Node,
    pub(super) kind: Kind,
}

impl Typed {
    pub(super) fn new(node: Node, kind: Kind) -> Self {
        Self { node, kind }
    }

    /// The text of a literal.
    pub(super) fn literal_text(&self) -> Option<&str> {
        match &self.node {
            Node::Literal(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boxed(self) -> Box<Node> {
        Box::new(self.node)
    }

    /// The same value as another kind.
    pub(super) fn converted(self, kind: Kind) -> Self {
        if self.kind == kind { self } else { Self::new(Node::Convert(Box::new(self.node), kind), kind) }
    }
}

pub(super) fn parse(text: &str, columns: &[ExpressionColumn<'_>]) -> Result<Expression, ExpressionFault> {
    if text.len() > BYTES_MAX {
        return Err(ExpressionFault { position: 1, message: format!("longer than {BYTES_MAX} bytes") });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, columns, read: Vec::new(), nodes: 0 };
    let root = parser.expression(0)?;
    if *parser.peek() != Token::End {
        return Err(parser.fault("an operator or the end is expected"));
    }
    if root.kind == Kind::Opaque {
        return Err(ExpressionFault { position: 1, message: "a column of this type is only asked whether it is NULL".to_owned() });
    }
    Ok(Expression { text: text.to_owned(), columns: parser.read, kind: root.kind, root: root.node })
}

pub(super) struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    columns: &'a [ExpressionColumn<'a>],
    /// The columns that have been named so far.
    read: Vec<FieldName>,
    nodes: usize,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = self.next.saturating_add(1);
        token
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> ExpressionFault {
        let position = self.tokens.get(self.next).or(self.tokens.last()).map_or(1, |(position, _)| *position);
        ExpressionFault { position, message: message.into() }
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        self.next = self.next.saturating_add(usize::from(found));
        found
    }

    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.next = self.next.saturating_add(usize::from(found));
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), ExpressionFault> {
        if self.sign(sign) { Ok(()) } else { Err(self.fault(format!("\"{sign}\" is expected"))) }
    }

    fn count(&mut self) -> Result<(), ExpressionFault> {
        self.charge(1)
    }

    /// The same part once more: copies count, or a short text could become a large expression.
    fn copied(&mut self, typed: &Typed) -> Result<Typed, ExpressionFault> {
        self.charge(typed.node.size())?;
        Ok(typed.clone())
    }

    fn charge(&mut self, parts: usize) -> Result<(), ExpressionFault> {
        self.nodes = self.nodes.saturating_add(parts);
        if self.nodes > NODES_MAX { Err(self.fault(format!("more than {NODES_MAX} parts"))) } else { Ok(()) }
    }

    pub(super) fn expression(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        if depth > DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        let mut left = self.conjunction(depth)?;
        while self.word("or") {
            let right = self.conjunction(depth)?;
            left = self.joined(left, right, Node::Or)?;
        }
        Ok(left)
    }

    fn conjunction(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let mut left = self.negation(depth)?;
        while self.word("and") {
            let right = self.negation(depth)?;
            left = self.joined(left, right, Node::And)?;
        }
        Ok(left)
    }

    fn joined(&mut self, left: Typed, right: Typed, join: fn(Box<Node>, Box<Node>) -> Node) -> Result<Typed, ExpressionFault> {
        self.count()?;
        let (left, right) = (self.of_kind(left, Kind::Bool)?, self.of_kind(right, Kind::Bool)?);
        Ok(Typed::new(join(left.boxed(), right.boxed()), Kind::Bool))
    }

    fn negation(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        if !self.word("not") {
            return self.comparison(depth);
        }
        if depth > DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        self.count()?;
        let inner = self.negation(depth.saturating_add(1))?;
        Ok(Typed::new(Node::Not(self.of_kind(inner, Kind::Bool)?.boxed()), Kind::Bool))
    }

    fn comparison(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let left = self.concatenation(depth)?;
        if self.word("is") {
            self.count()?;
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.fault("NULL is expected"));
            }
            return Ok(negate(Node::IsNull(left.boxed()), negated));
        }
        let negated = self.word("not");
        if self.word("in") {
            return self.list(&left, negated, depth);
        }
        if self.word("between") {
            let low = self.concatenation(depth)?;
            if !self.word("and") {
                return Err(self.fault("AND is expected"));
            }
            let high = self.concatenation(depth)?;
            let copy = self.copied(&left)?;
            let low = self.compared(copy, Comparison::GreaterOrEqual, low)?;
            let high = self.compared(left, Comparison::LessOrEqual, high)?;
            return Ok(negate(Node::And(low.boxed(), high.boxed()), negated));
        }
        if matches!(self.peek(), Token::Word(word) if word == "like" || word == "ilike") {
            let fold = self.word("ilike");
            if !fold {
                self.take();
            }
            return self.like(left, fold, negated);
        }
        if negated {
            return Err(self.fault("IN, LIKE or BETWEEN is expected"));
        }
        if self.sign("~") {
            let regex = self.regex()?;
            let text = self.of_kind(left, Kind::Text)?;
            return Ok(Typed::new(Node::Matches(text.boxed(), regex), Kind::Bool));
        }
        let operator = match self.peek() {
            Token::Sign("=") => Comparison::Equal,
            Token::Sign("<>" | "!=") => Comparison::NotEqual,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessOrEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.take();
        let right = self.concatenation(depth)?;
        self.compared(left, operator, right)
    }

    fn list(&mut self, left: &Typed, negated: bool, depth: usize) -> Result<Typed, ExpressionFault> {
        self.expect("(")?;
        let mut any: Option<Node> = None;
        loop {
            let item = self.concatenation(depth)?;
            let copy = self.copied(left)?;
            let equal = self.compared(copy, Comparison::Equal, item)?.node;
            any = Some(match any {
                None => equal,
                Some(before) => Node::Or(Box::new(before), Box::new(equal)),
            });
            if !self.sign(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(negate(any.unwrap_or(Node::Literal(Value::Null)), negated))
    }

    fn like(&mut self, left: Typed, fold: bool, negated: bool) -> Result<Typed, ExpressionFault> {
        let Token::Text(pattern) = self.peek().clone() else {
            return Err(self.fault("a pattern in single quotes is expected"));
        };
        let regex = regex_of_pattern(&pattern, fold).ok_or_else(|| self.fault("a pattern that cannot be used"))?;
        self.take();
        self.count()?;
        let text = self.of_kind(left, Kind::Text)?;
        Ok(negate(Node::Matches(text.boxed(), Arc::new(regex)), negated))
    }

    /// A regular expression in single quotes.
    pub(super) fn regex(&mut self) -> Result<Arc<Regex>, ExpressionFault> {
        let Token::Text(pattern) = self.peek() else {
            return Err(self.fault("a regular expression in single quotes is expected"));
        };
        let regex = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|_error| self.fault("no regular expression, or one that is too large"))?;
        self.take();
        self.count()?;
        Ok(Arc::new(regex))
    }

    fn compared(&mut self, left: Typed, operator: Comparison, right: Typed) -> Result<Typed, ExpressionFault> {
        self.count()?;
        let mut operands = self.alike(vec![left, right])?.into_iter();
        let (Some(left), Some(right)) = (operands.next(), operands.next()) else { return Err(self.fault("two operands are expected")) };
        Ok(Typed::new(Node::Compare(operator, left.boxed(), right.boxed()), Kind::Bool))
    }

    /// The operands as values of one kind. A literal text is taken as what the others are.
    pub(super) fn alike(&self, operands: Vec<Typed>) -> Result<Vec<Typed>, ExpressionFault> {
        let mut typed = operands.iter().filter(|operand| operand.literal_text().is_none()).map(|operand| operand.kind);
        let typed = typed.try_fold(Kind::Null, Kind::with);
        let kind = match typed {
            Some(Kind::Null) if operands.iter().any(|operand| operand.kind == Kind::Text) => Some(Kind::Text),
            other => other,
        };
        let kind = kind.filter(|kind| *kind != Kind::Opaque).ok_or_else(|| self.fault("the types do not go together"))?;
        operands.into_iter().map(|operand| self.of_kind(operand, kind)).collect()
    }

    /// The operand as a value of that kind, if it is one by itself.
    pub(super) fn of_kind(&self, operand: Typed, kind: Kind) -> Result<Typed, ExpressionFault> {
        if let (Some(text), true) = (operand.literal_text(), kind != Kind::Text) {
            let value = super::evaluate::converted(Value::Text(text.to_owned().into()), kind);
            return match value {
                Value::Null => Err(self.fault(format!("a literal is no {}", kind.name()))),
                value => Ok(Typed::new(Node::Literal(value), kind)),
            };
        }
        match operand.kind.with(kind) {
            Some(both) if both == kind => Ok(operand.converted(kind)),
            _ => Err(self.fault(format!("{} is expected, not {}", kind.name(), operand.kind.name()))),
        }
    }

    fn concatenation(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let mut left = self.sum(depth)?;
        while self.sign("||") {
            self.count()?;
            let right = self.sum(depth)?;
            if left.kind != Kind::Text && right.kind != Kind::Text {
                return Err(self.fault("\"||\" joins texts"));
            }
            let (left_text, right_text) = (functions::as_text(self, left)?, functions::as_text(self, right)?);
            left = Typed::new(Node::Call(Function::Pipes, vec![left_text.node, right_text.node]), Kind::Text);
        }
        Ok(left)
    }

    fn sum(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let mut left = self.product(depth)?;
        loop {
            let operator = match self.peek() {
                Token::Sign("+") => Arithmetic::Plus,
                Token::Sign("-") => Arithmetic::Minus,
                _ => return Ok(left),
            };
            self.take();
            let right = self.product(depth)?;
            left = self.computed(operator, left, right)?;
        }
    }

    fn product(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let mut left = self.unary(depth)?;
        loop {
            let operator = match self.peek() {
                Token::Sign("*") => Arithmetic::Times,
                Token::Sign("/") => Arithmetic::Divide,
                Token::Sign("%") => Arithmetic::Rest,
                _ => return Ok(left),
            };
            self.take();
            let right = self.unary(depth)?;
            left = self.computed(operator, left, right)?;
        }
    }

    fn computed(&mut self, operator: Arithmetic, left: Typed, right: Typed) -> Result<Typed, ExpressionFault> {
        self.count()?;
        let mut operands = self.alike(vec![left, right])?.into_iter();
        match (operands.next(), operands.next()) {
            (Some(left), Some(right)) if left.kind.is_number() => {
                let kind = left.kind;
                Ok(Typed::new(Node::Arithmetic(operator, left.boxed(), right.boxed()), kind))
            }
            _ => Err(self.fault("numbers are expected")),
        }
    }

    fn unary(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        if depth > DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        if self.sign("-") {
            self.count()?;
            let inner = self.unary(depth.saturating_add(1))?;
            if !inner.kind.is_number() {
                return Err(self.fault("a number is expected"));
            }
            let kind = inner.kind;
            return Ok(Typed::new(Node::Negate(inner.boxed()), kind));
        }
        let mut inner = self.primary(depth)?;
        while self.sign("::") {
            let data_type = self.type_name()?;
            inner = self.cast(inner, &data_type)?;
        }
        Ok(inner)
    }

    fn primary(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        self.count()?;
        let deeper = depth.saturating_add(1);
        if self.sign("(") {
            let inner = self.expression(deeper)?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.peek().clone() {
            Token::Text(text) => {
                self.take();
                Ok(Typed::new(Node::Literal(Value::Text(text.into())), Kind::Text))
            }
            Token::Number(number) => {
                let (value, kind) = match (number.parse::<i64>(), Decimal::parse(&number)) {
                    (Ok(whole), _) => (Value::Int(whole), Kind::Int),
                    (Err(_), Some(decimal)) => (Value::Decimal(decimal), Kind::Decimal),
                    (Err(_), None) => return Err(self.fault("no number, or one with too many digits")),
                };
                self.take();
                Ok(Typed::new(Node::Literal(value), kind))
            }
            Token::Quoted(name) => self.column(&name),
            Token::Word(word) => self.word_expression(&word, deeper),
            Token::Sign(_) | Token::End => Err(self.fault("a value is expected")),
        }
    }

    fn word_expression(&mut self, word: &str, depth: usize) -> Result<Typed, ExpressionFault> {
        let literal = match word {
            "null" => Some((Value::Null, Kind::Null)),
            "true" => Some((Value::Bool(true), Kind::Bool)),
            "false" => Some((Value::Bool(false), Kind::Bool)),
            _ => None,
        };
        if let Some((value, kind)) = literal {
            self.take();
            return Ok(Typed::new(Node::Literal(value), kind));
        }
        if word == "case" {
            self.take();
            return self.case(depth);
        }
        if KEYWORDS.contains(&word) {
            return Err(self.fault("a value is expected"));
        }
        let called = matches!(self.tokens.get(self.next.saturating_add(1)), Some((_, Token::Sign("("))));
        if called {
            self.take();
            self.take();
            return functions::call(self, word, depth);
        }
        if let (Some(kind), Some((_, Token::Text(text)))) = (instant_of_word(word), self.tokens.get(self.next.saturating_add(1))) {
            let literal = Typed::new(Node::Literal(Value::Text(text.clone().into())), Kind::Text);
            let literal = self.of_kind(literal, kind)?;
            self.take();
            self.take();
            return Ok(literal);
        }
        self.column(word)
    }

    fn column(&mut self, name: &str) -> Result<Typed, ExpressionFault> {
        let found = self.columns.iter().find(|column| column.name.as_str() == name);
        let found = found.ok_or_else(|| self.fault(format!("there is no column \"{name}\"")))?;
        let index = self.read.iter().position(|read| read == found.name).unwrap_or_else(|| {
            self.read.push(found.name.clone());
            self.read.len().saturating_sub(1)
        });
        self.take();
        Ok(Typed::new(Node::Column(index), Kind::of(found.data_type)))
    }

    fn case(&mut self, depth: usize) -> Result<Typed, ExpressionFault> {
        let operand = if matches!(self.peek(), Token::Word(word) if word == "when") { None } else { Some(self.expression(depth)?) };
        let (mut tests, mut results) = (Vec::new(), Vec::new());
        while self.word("when") {
            let test = self.expression(depth)?;
            tests.push(match &operand {
                Some(operand) => {
                    let copy = self.copied(operand)?;
                    self.compared(copy, Comparison::Equal, test)?
                }
                None => self.of_kind(test, Kind::Bool)?,
            });
            if !self.word("then") {
                return Err(self.fault("THEN is expected"));
            }
            results.push(self.expression(depth)?);
        }
        if tests.is_empty() {
            return Err(self.fault("WHEN is expected"));
        }
        let otherwise = self.word("else");
        if otherwise {
            results.push(self.expression(depth)?);
        }
        if !self.word("end") {
            return Err(self.fault("END is expected"));
        }
        let mut results = self.alike(results)?;
        let kind = results.first().map_or(Kind::Null, |result| result.kind);
        let otherwise = if otherwise { results.pop().map(Typed::boxed) } else { None };
        let branches = tests.into_iter().zip(results).map(|(test, result)| (test.node, result.node)).collect();
        Ok(Typed::new(Node::Case(branches, otherwise), kind))
    }

    /// A type up to the sign that ends it.
    pub(super) fn type_name(&mut self) -> Result<DataType, ExpressionFault> {
        let mut text = String::new();
        while let Token::Word(word) = self.peek() {
            if KEYWORDS.contains(&word.as_str()) {
                break;
            }
            text.push_str(word);
            text.push(' ');
            self.take();
        }
        if !text.is_empty() && self.sign("(") {
            text.push('(');
            while let Token::Number(_) | Token::Sign(",") = self.peek() {
                text.push_str(&match self.take() {
                    Token::Number(number) => number,
                    _ => ",".to_owned(),
                });
            }
            self.expect(")")?;
            text.push(')');
        }
        DataType::parse(text.trim()).map_err(|error| self.fault(error.to_string()))
    }

    pub(super) fn cast(&mut self, operand: Typed, data_type: &DataType) -> Result<Typed, ExpressionFault> {
        self.count()?;
        let kind = Kind::of(data_type);
        let possible = match (operand.kind, kind) {
            (Kind::Opaque, _) | (_, Kind::Opaque) => false,
            (Kind::Bool, Kind::Bool) | (Kind::Null, _) | (Kind::Text, _) | (_, Kind::Text) => true,
            (from, to) => (from.is_number() && to.is_number()) || (from.is_dated() && to.is_dated()),
        };
        if !possible || matches!(data_type, DataType::Uuid | DataType::Json) {
            return Err(self.fault(format!("{} cannot be cast to {data_type}", operand.kind.name())));
        }
        let converted = operand.converted(kind);
        Ok(match data_type {
            DataType::Varchar(limit) => Typed::new(Node::Cut(converted.boxed(), characters_max(*limit)), kind),
            DataType::Decimal { scale, .. } => {
                let digits = Node::Literal(Value::Int(i64::from(*scale)));
                Typed::new(Node::Call(Function::Round, vec![converted.node, digits]), kind)
            }
            _ => converted,
        })
    }
}

fn negate(node: Node, negated: bool) -> Typed {
    Typed::new(if negated { Node::Not(Box::new(node)) } else { node }, Kind::Bool)
}

fn instant_of_word(word: &str) -> Option<Kind> {
    match word {
        "date" => Some(Kind::Date),
        "timestamp" => Some(Kind::Timestamp),
        "timestamptz" => Some(Kind::TimestampTz),
        _ => None,
    }
}

/// A LIKE pattern with `%`, `_` and `\` as a regular expression.
fn regex_of_pattern(pattern: &str, fold: bool) -> Option<Regex> {
    let mut regex = String::from("^");
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => regex.push_str(&regex::escape(&characters.next()?.to_string())),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push('$');
    RegexBuilder::new(&regex).dot_matches_new_line(true).case_insensitive(fold).size_limit(REGEX_BYTES_MAX).build().ok()
}
