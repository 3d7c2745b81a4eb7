//! Asks a bundle any query, as `opa eval` does: for whoever writes rules, never for a decision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::product::{DomainName, Product};

use super::bundle::{parse_data, sort};
use super::contract::Contract;
use super::file::{BundleFault, BundleFile};
use super::input;
use super::rego::{EvaluationError, Rego};

/// The longest that a query may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// The part of `data` that comes from the catalog.
#[derive(Debug, Clone, Default)]
pub struct CatalogFacts {
    /// The products.
    pub products: Vec<Arc<Product>>,
    /// The domains' periods.
    pub retention: BTreeMap<DomainName, u32>,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationFault {
    /// The bundle is not sound.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Bundle(Vec<BundleFault>),
    /// The evaluation failed, with the interpreter's words: file, line and cause.
    #[error("{0}")]
    Failed(String),
}

/// What a query answers over these files, in OPA's form: `{"result": [{"expressions": […]}]}`, or `{}` if it is undefined. With `catalog`,
/// `data` is what a gateway's rules see.
pub fn evaluate(
    files: Vec<BundleFile>,
    catalog: Option<&CatalogFacts>,
    query: &str,
    input: Option<&Value>,
) -> Result<Value, EvaluationFault> {
    let (policies, tests, data) = sort(files);
    let everything: Vec<BundleFile> = policies.into_iter().chain(tests).collect();
    let mut data = parse_data(&data).map_err(EvaluationFault::Bundle)?;
    if let Some(catalog) = catalog {
        let contracts: Vec<Contract> = catalog.products.iter().map(|product| Contract::new(product, &catalog.retention)).collect();
        if let Value::Object(of_catalog) = input::catalog_data(contracts.iter(), &catalog.retention) {
            data.extend(of_catalog);
        }
    }
    let compiled = Rego::compile(&everything, TIME_LIMIT).and_then(|(rego, _)| rego.extended(None, &Value::Object(data)));
    let rego = compiled.map_err(EvaluationFault::Bundle)?;
    rego.query(query, input).map_err(|error| match error {
        EvaluationError::Late => EvaluationFault::Failed(error.to_string()),
        EvaluationError::Failed { text, .. } => EvaluationFault::Failed(text.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(query: &str, input: Option<Value>) -> Result<Value, EvaluationFault> {
        let text = "package p\n\nallow if input.a == data.known\n\nfails := 1 / count([])\n";
        let files = vec![
            BundleFile { path: "p.rego".to_owned(), text: text.to_owned() },
            BundleFile { path: "data.json".to_owned(), text: "{\"known\": 7}".to_owned() },
        ];
        evaluate(files, None, query, input.as_ref())
    }

    #[test]
    fn a_query_has_a_value_or_is_undefined() {
        let allowed = ask("data.p.allow", Some(json!({"a": 7}))).unwrap();
        assert_eq!(allowed["result"][0]["expressions"][0]["value"], true);
        assert_eq!(ask("data.p.allow", Some(json!({"a": 8}))).unwrap(), json!({}));
        assert_eq!(ask("data.p.allow", None).unwrap(), json!({}));
        let bound = ask("x := data.known + 1", None).unwrap();
        assert_eq!(bound["result"][0]["bindings"]["x"], 8);
    }

    #[test]
    fn an_error_names_its_place() {
        let fault = ask("data.p.fails", None).unwrap_err().to_string();
        assert!(fault.contains("p.rego:5"), "{fault}");
        let broken = vec![BundleFile { path: "b.rego".to_owned(), text: "package b\n\nx if {\n".to_owned() }];
        let fault = evaluate(broken, None, "data.b", None).unwrap_err().to_string();
        assert!(fault.starts_with("b.rego:"), "{fault}");
        assert!(ask("data.p.(", None).is_err());
    }

    #[test]
    fn the_catalogs_documents_are_there_with_a_catalog_only() {
        let catalog = CatalogFacts::default();
        let asked = |catalog: Option<&CatalogFacts>| evaluate(Vec::new(), catalog, "data.erased_subjects", None).unwrap();
        assert_eq!(asked(Some(&catalog))["result"][0]["expressions"][0]["value"], json!([]));
        assert_eq!(asked(None), json!({}));
    }
}
