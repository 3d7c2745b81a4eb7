//! The `.manifest` of an OPA bundle: what the bundle calls itself, and which paths of `data` are its own.

use serde_json::{Map, Value};

use super::file::{BundleFault, BundleFile};
use super::rego::RuleSite;

/// Where a manifest lies in a bundle.
pub const MANIFEST_PATH: &str = ".manifest";

/// The longest revision.
const REVISION_CHARS_MAX: usize = 256;

/// What a manifest says. Without one, a bundle has no name and owns everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) revision: Option<String>,
    /// Each a path of keys; an empty one is everything.
    roots: Vec<Vec<String>>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { revision: None, roots: vec![Vec::new()] }
    }
}

impl Manifest {
    /// The manifest among the files of a bundle.
    pub(super) fn of(files: &[BundleFile]) -> Result<Self, Vec<BundleFault>> {
        files.iter().find(|file| file.path == MANIFEST_PATH).map_or_else(|| Ok(Self::default()), |file| Self::parse(&file.text))
    }

    fn parse(text: &str) -> Result<Self, Vec<BundleFault>> {
        let manifest: Value = serde_json::from_str(text).map_err(|error| vec![fault(error.line(), format!("not JSON: {error}"))])?;
        let Value::Object(manifest) = manifest else { return Err(vec![fault(1, "a manifest must be an object".to_owned())]) };
        let mut faults = Vec::new();
        let line = |key: &str| line_of(text, key);
        let revision = match manifest.get("revision") {
            None => None,
            Some(Value::String(revision)) if revision.is_empty() => None,
            Some(Value::String(revision)) if revision.chars().count() <= REVISION_CHARS_MAX && !revision.chars().any(char::is_control) => {
                Some(revision.clone())
            }
            Some(_) => {
                faults.push(fault(line("revision"), format!("\"revision\" must be a text of at most {REVISION_CHARS_MAX} characters")));
                None
            }
        };
        if let Some(version) = manifest.get("rego_version").filter(|version| version.as_u64() != Some(1)) {
            faults.push(fault(line("rego_version"), format!("Rego is read in version 1, and this bundle has version {version}")));
        }
        if manifest
            .get("file_rego_versions")
            .and_then(Value::as_object)
            .is_some_and(|versions| versions.values().any(|v| v.as_u64() != Some(1)))
        {
            faults.push(fault(line("file_rego_versions"), "Rego is read in version 1 only".to_owned()));
        }
        if manifest.get("wasm").and_then(Value::as_array).is_some_and(|modules| !modules.is_empty()) {
            faults.push(fault(line("wasm"), "WebAssembly is not run; the bundle must hold its rules as Rego".to_owned()));
        }
        let roots = roots(&manifest).unwrap_or_else(|message| {
            faults.push(fault(line("roots"), message));
            Vec::new()
        });
        if faults.is_empty() { Ok(Self { revision, roots }) } else { Err(faults) }
    }

    /// Every rule and every document that lies outside of the roots.
    pub(super) fn strangers(&self, sites: &[RuleSite], data: &Map<String, Value>) -> Vec<BundleFault> {
        let mut faults: Vec<BundleFault> = sites
            .iter()
            .filter(|site| !self.owns(&site.package.split('.').collect::<Vec<_>>()))
            .map(|site| BundleFault {
                file: site.file.clone(),
                line: site.line,
                message: format!("package {} lies outside of the roots of the manifest", site.package),
            })
            .collect();
        let mut path = Vec::new();
        self.strange_data(data, &mut path, &mut faults);
        faults.dedup();
        faults
    }

    fn strange_data<'a>(&self, data: &'a Map<String, Value>, path: &mut Vec<&'a str>, faults: &mut Vec<BundleFault>) {
        for (key, value) in data {
            path.push(key);
            if !self.owns(path) {
                match value {
                    Value::Object(inner) if self.leads_to_root(path) => self.strange_data(inner, path, faults),
                    // The gateway's own settings are nobody's data.
                    _ if *path == ["meshgate"] => {}
                    _ => faults.push(fault(0, format!("the data \"{}\" lie outside of the roots of the manifest", path.join("/")))),
                }
            }
            path.pop();
        }
    }

    fn owns(&self, path: &[&str]) -> bool {
        self.roots.iter().any(|root| root.len() <= path.len() && root.iter().zip(path).all(|(a, b)| a == b))
    }

    fn leads_to_root(&self, path: &[&str]) -> bool {
        self.roots.iter().any(|root| path.len() < root.len() && root.iter().zip(path).all(|(a, b)| a == b))
    }
}

fn roots(manifest: &Map<String, Value>) -> Result<Vec<Vec<String>>, String> {
    let Some(value) = manifest.get("roots") else { return Ok(vec![Vec::new()]) };
    let shape = || "\"roots\" must be a list of paths".to_owned();
    let mut roots: Vec<Vec<String>> = Vec::new();
    for root in value.as_array().ok_or_else(shape)? {
        let path = root.as_str().ok_or_else(shape)?.trim_matches('/');
        roots.push(path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect());
    }
    if roots.is_empty() {
        return Err("\"roots\" is empty, so nothing of the bundle is its own".to_owned());
    }
    roots.sort();
    // Sorted, a path stands straight before those below it.
    let overlap = roots.iter().zip(roots.iter().skip(1)).find(|(above, below)| below.starts_with(above));
    match overlap {
        Some((above, below)) => Err(format!("the roots \"{}\" and \"{}\" overlap", above.join("/"), below.join("/"))),
        None => Ok(roots),
    }
}

fn fault(line: usize, message: String) -> BundleFault {
    BundleFault { file: MANIFEST_PATH.to_owned(), line, message }
}

/// The line of a top-level key, as far as a look at the text tells; 1 if it does not.
fn line_of(text: &str, key: &str) -> usize {
    let quoted = format!("\"{key}\"");
    text.lines().position(|line| line.contains(&quoted)).map_or(1, |index| index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Manifest::parse(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    fn site(package: &str) -> RuleSite {
        RuleSite { package: package.to_owned(), name: "allow".to_owned(), file: "a.rego".to_owned(), line: 3, is_set: false }
    }

    #[test]
    fn a_manifest_names_a_revision_and_roots() {
        let manifest =
            Manifest::parse(r#"{"revision": "r7", "roots": ["data_mesh", "facts/eu"], "rego_version": 1, "metadata": {}}"#).unwrap();
        assert_eq!(manifest.revision.as_deref(), Some("r7"));
        let data = serde_json::json!({"facts": {"eu": {"a": 1}}, "meshgate": {}});
        assert!(manifest.strangers(&[site("data_mesh.governance")], data.as_object().unwrap()).is_empty());
        let data = serde_json::json!({"facts": {"eu": 1, "us": 2}, "other": 3});
        let faults = manifest.strangers(&[site("elsewhere.rules")], data.as_object().unwrap());
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "a.rego:3: package elsewhere.rules lies outside of the roots of the manifest",
                ".manifest: the data \"facts/us\" lie outside of the roots of the manifest",
                ".manifest: the data \"other\" lie outside of the roots of the manifest",
            ]
        );
    }

    #[test]
    fn without_a_manifest_or_roots_everything_is_the_bundles_own() {
        for manifest in [Manifest::default(), Manifest::parse("{\"revision\": \"\"}").unwrap()] {
            assert!(manifest.revision.is_none());
            assert!(manifest.strangers(&[site("any.thing")], serde_json::json!({"a": 1}).as_object().unwrap()).is_empty());
        }
    }

    #[test]
    fn a_manifest_that_cannot_be_kept_to_is_refused_with_its_line() {
        assert!(refused("{\n\"revision\": }").starts_with(".manifest:2: not JSON"));
        assert_eq!(refused("[]"), ".manifest:1: a manifest must be an object");
        assert!(refused("{\n\n\"revision\": 7}").starts_with(".manifest:3: \"revision\""));
        assert!(refused("{\"revision\": \"a\\u0007\"}").contains("\"revision\""));
        assert!(refused("{\"rego_version\": 0}").contains("version 0"));
        assert!(refused("{\"wasm\": [{}]}").contains("WebAssembly"));
        assert!(refused("{\"roots\": []}").contains("empty"));
        assert!(refused("{\"roots\": [7]}").contains("list of paths"));
        assert!(refused("{\"roots\": [\"a/b\", \"a\"]}").contains("overlap"));
        assert!(refused("{\"roots\": [\"\", \"a\"]}").contains("overlap"));
        assert!(Manifest::parse("{\"roots\": [\"a/b\", \"a/bc\"]}").is_ok());
    }
}
