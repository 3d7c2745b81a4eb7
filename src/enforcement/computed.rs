//! Tests of the policy's that are worked out row by row, as conditions of the engine.
//!
//! INVARIANT: a test cannot fail on any row, and neither it nor its constants are in a plan or a text.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::policy::Computed;
use crate::product::FieldName;
use crate::product::mask::Value;

use super::mask::{Reader, contract_type, plain};

/// The test over the schema's columns; the column that it cannot read, if there is one.
pub(super) fn is_passed(test: &Arc<Computed>, schema: &Schema) -> Result<Expr, FieldName> {
    let column = |name: &FieldName| {
        let field = schema.field_with_name(name.as_str()).map_err(|_| name.clone())?;
        let read = contract_type(field).is_some_and(|data_type| test.takes(name, &data_type));
        if read { Ok(Expr::Column(Column::new_unqualified(name.as_str()))) } else { Err(name.clone()) }
    };
    let columns = test.columns().iter().map(column).collect::<Result<Vec<Expr>, FieldName>>()?;
    let function =
        ScalarUDF::new_from_impl(Passes { test: Arc::clone(test), signature: Signature::any(columns.len(), Volatility::Immutable) });
    Ok(function.call(columns))
}

struct Passes {
    test: Arc<Computed>,
    signature: Signature,
}

impl std::fmt::Debug for Passes {
    /// Never the constants.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passes").finish_non_exhaustive()
    }
}

impl PartialEq for Passes {
    fn eq(&self, other: &Self) -> bool {
        self.test == other.test
    }
}

impl Eq for Passes {}

impl Hash for Passes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.test.columns().iter().for_each(|column| column.as_str().hash(state));
    }
}

impl ScalarUDFImpl for Passes {
    fn name(&self) -> &'static str {
        "passes"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = args.args.iter().map(|column| plain(&column.to_array(rows)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let readers = columns.iter().map(Reader::new).collect::<Result<Vec<Reader<'_>>>>()?;
        let readers: Vec<(&FieldName, Reader<'_>)> = self.test.columns().iter().zip(readers).collect();
        let passed = |row: usize| {
            let cell =
                |name: &FieldName| readers.iter().find(|(known, _)| *known == name).map_or(Value::Null, |(_, reader)| reader.value(row));
            self.test.holds(&cell)
        };
        Ok(ColumnarValue::Array(Arc::new((0..rows).map(passed).collect::<BooleanArray>())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use datafusion::arrow::array::{AsArray, Int32Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
    use datafusion::arrow::datatypes::{Field, TimeUnit};
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;

    use super::super::row_filter::compile;
    use super::super::testing::{field_name, product};
    use crate::identity::Principal;
    use crate::policy::{AccessRequest, Bundle, BundleFile, DecisionPoint, Outcome, Predicate, RequestContext, SubjectSet};
    use crate::product::{DataType as ContractType, OutputPort, PortAccess, PortFormat, PortKind, PortName, Product, Sla};

    use super::*;

    /// The row filter that a rule leaves which denies under that condition.
    fn filter(condition: &str) -> Predicate {
        let text = format!("package data_mesh.governance\n\nallow := true\n\ndeny contains \"no\" if {{\n\t{condition}\n}}\n");
        let bundle = Bundle::parse(vec![BundleFile { path: "rules.rego".to_owned(), text }]).unwrap();
        let field = |name: &str, data_type: ContractType| crate::product::Field {
            name: field_name(name),
            physical_name: None,
            data_type,
            required: false,
            primary_key: false,
            classification: None,
            description: None,
        };
        let port = OutputPort {
            name: PortName::parse("daily").unwrap(),
            kind: PortKind::Batch,
            format: PortFormat::Parquet,
            location: "people.parquet".to_owned(),
            partitioning: None,
            credentials: None,
            tls: crate::product::ServerTls::default(),
            encryption: None,
            access: PortAccess::Open,
            sla: Sla::default(),
        };
        let columns = [field("n", ContractType::Int32), field("t", ContractType::String), field("at", ContractType::TimestampTz)];
        let product = Arc::new(Product { schema: Some(columns.into()), output_ports: vec![port], ..Product::clone(&product("people")) });
        let point =
            DecisionPoint::new(Arc::new(bundle), &[Arc::clone(&product)], &BTreeMap::new(), Arc::new(SubjectSet::default())).unwrap();
        let principal = Principal {
            product: None,
            name: "ann".to_owned(),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            is_data_steward: false,
            attributes: BTreeMap::new(),
        };
        let decision = point.decide(&AccessRequest {
            principal: Arc::new(principal),
            purpose: None,
            product,
            port: PortName::parse("daily").unwrap(),
            fields: Vec::new(),
            context: RequestContext {
                query_id: "q".to_owned(),
                now: "2026-06-01T12:00:00Z".parse().unwrap(),
                application_name: String::new(),
                client_address: None,
            },
        });
        match &decision.outcome {
            Outcome::Allow(obligations) => obligations.row_filter.clone(),
            Outcome::Deny(reasons) => panic!("{reasons:?} {}", decision.result),
        }
    }

    /// Rows of (7, " a "), (8, "b"), (0, NULL), (NULL, "a"), a day apart until the last, which is now.
    fn visible(condition: &str) -> [bool; 4] {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("t", DataType::Utf8View, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
        ]));
        let day = 86_400_000_000_i64;
        let now = 1_780_315_200_000_000_i64;
        let ages = TimestampMicrosecondArray::from(vec![now - 3 * day, now - 2 * day, now - day, now]).with_timezone("+00:00");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(7), Some(8), Some(0), None])),
            Arc::new(StringViewArray::from(vec![Some(" a "), Some("b"), None, Some("a")])),
            Arc::new(ages),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let expr = compile(&filter(condition), &schema).unwrap();
        let state = SessionContext::new().state();
        let physical = state.create_physical_expr(expr, &DFSchema::try_from(schema).unwrap()).unwrap();
        let truth = physical.evaluate(&batch).unwrap().into_array(4).unwrap();
        std::array::from_fn(|row| truth.as_boolean().iter().nth(row).flatten() == Some(true))
    }

    #[test]
    fn rows_that_pass_are_seen_and_those_of_which_it_is_not_known_are_not() {
        for (condition, seen) in [
            ("input.resource.record.n % 2 == 1", [false, true, true, false]),
            ("input.resource.record.n % 2 != 1", [true, false, false, false]),
            ("trim_space(input.resource.record.t) == \"a\"", [false, true, false, false]),
            ("substring(input.resource.record.t, 0, 1) != \"b\"", [false, true, false, false]),
            // A division by zero hides its row, whatever is asked of it.
            ("56 / input.resource.record.n > 100", [true, true, false, false]),
            ("count(input.resource.record.t) > input.resource.record.n", [true, true, false, false]),
            (
                "time.parse_rfc3339_ns(input.resource.record.at) < time.now_ns() - (input.resource.record.n * 86400000000000)",
                [true, true, false, false],
            ),
            (
                "time.parse_rfc3339_ns(input.resource.record.at) > time.now_ns() - (input.resource.record.n * 86400000000000)",
                [false, false, true, false],
            ),
        ] {
            assert_eq!(visible(condition), seen, "{condition}");
        }
    }

    #[test]
    fn a_column_of_another_type_than_the_contracts_is_refused() {
        let schema = Schema::new(vec![Field::new("n", DataType::Utf8View, true)]);
        assert!(compile(&filter("input.resource.record.n % 2 == 1"), &schema).is_err());
        assert!(compile(&filter("input.resource.record.n % 2 == 1"), &Schema::empty()).is_err());
    }

    #[test]
    fn no_constant_is_in_a_plan() {
        let schema = Schema::new(vec![Field::new("t", DataType::Utf8View, true)]);
        let expr = compile(&filter("trim_space(input.resource.record.t) == \"secret\""), &schema).unwrap();
        assert!(!format!("{expr} {expr:?}").contains("secret"));
    }
}
