//! Writes the module by which packages are asked: for each package a rule for masks, one for the rest, and one for everything.
//!
//! Such a rule is a pair of lists: of rules that have a value whatever they are asked, each a name with its value, and of all others, each
//! a name with a list of its value. The list of one that is undefined is empty, which the reader takes for a fault. One rule with one value
//! asks for all of it: a rule, or an element of a set, costs the interpreter more than most of what is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::bundle::{ANSWER_RULES, ENTRIES, MASK_RULES, Package, is_identifier};
use super::rego::RuleSite;
use super::residual::ir::Program;

/// The rules that have a value whatever they are asked, by their full names: sets.
pub(super) fn always(sites: &[RuleSite]) -> BTreeSet<String> {
    let path = |site: &RuleSite| format!("{}.{}", site.package, site.name);
    let others: BTreeSet<String> = sites.iter().filter(|site| !site.is_set).map(path).collect();
    sites.iter().filter(|site| site.is_set).map(path).filter(|path| !others.contains(path)).collect()
}

/// The module.
pub(super) fn text(packages: &BTreeMap<String, Package>, records: &Program, always: &BTreeSet<String>) -> String {
    let mut text = format!("package {ENTRIES}\n");
    for package in packages.values() {
        let rules = package.rules.iter().filter(|rule| ANSWER_RULES.contains(&rule.as_str()) && package.answers(rule));
        let (masks, rest): (Vec<Asked>, Vec<Asked>) = rules
            .map(|rule| Asked { name: rule.clone(), path: format!("{}.{rule}", package.name) })
            .partition(|asked| MASK_RULES.contains(&asked.name.as_str()));
        let own = |path: &&String| path.strip_prefix(&package.name).is_some_and(|rest| rest.starts_with('.'));
        let grounds = records.grounds.iter().filter(own).filter(|path| path.split('.').all(is_identifier));
        let grounds: Vec<Asked> = grounds.map(|path| Asked { name: path.clone(), path: path.clone() }).collect();
        let mut entry = |path: &str, asked: &[&[Asked]]| entry(&mut text, path, asked, always);
        entry(&package.masks_entry, &[&masks]);
        entry(&package.answer_entry, &[&rest]);
        entry(&package.full_entry, &[&rest, &grounds]);
        entry(&package.whole_entry, &[&masks, &rest, &grounds]);
    }
    text
}

/// A rule that is asked, under the name of its answer.
struct Asked {
    name: String,
    path: String,
}

fn entry(text: &mut String, path: &str, asked: &[&[Asked]], always: &BTreeSet<String>) {
    let entry = path.rsplit('.').next().unwrap_or_default();
    // What is asked for its own sake need not be asked again for the rules about records.
    let mut paths = BTreeSet::new();
    let asked = asked.iter().copied().flatten().filter(|asked| paths.insert(asked.path.as_str()));
    let (certain, others): (Vec<&Asked>, Vec<&Asked>) = asked.partition(|asked| always.contains(&asked.path));
    let certain: Vec<String> = certain.iter().map(|asked| format!("[\"{}\", data.{}]", asked.name, asked.path)).collect();
    let others: Vec<String> = others.iter().map(|asked| format!("[\"{}\", [x | x := data.{}]]", asked.name, asked.path)).collect();
    text.push_str(&format!("\n{entry} := [[{}], [{}]]\n", certain.join(", "), others.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str, is_set: bool) -> RuleSite {
        RuleSite { package: "p".to_owned(), name: name.to_owned(), file: "p.rego".to_owned(), line: 1, is_set }
    }

    #[test]
    fn all_is_asked_at_once_and_each_rule_once() {
        let always = always(&[site("exemptions", true), site("exemptions", true), site("notices", true), site("product", false)]);
        let asked = |names: &[&str]| -> Vec<Asked> {
            names.iter().map(|name| Asked { name: (*name).to_owned(), path: format!("p.{name}") }).collect()
        };
        let mut text = String::new();
        entry(&mut text, "e.whole_0", &[&asked(&["exemptions", "notices", "allow"]), &asked(&["product", "exemptions"])], &always);
        let certain = r#"[["exemptions", data.p.exemptions], ["notices", data.p.notices]]"#;
        let others = r#"[["allow", [x | x := data.p.allow]], ["product", [x | x := data.p.product]]]"#;
        assert_eq!(text.trim(), format!("whole_0 := [{certain}, {others}]"));
    }

    #[test]
    fn a_name_that_is_a_set_and_something_else_is_not_sure_to_have_a_value() {
        assert!(always(&[site("a", true), site("a", false)]).is_empty());
    }
}
