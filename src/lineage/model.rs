//! Lineage as data.

use std::collections::{BTreeMap, BTreeSet};

use crate::product::{PortName, ProductRef};

/// What a statement reads and what its result is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// The ports that are read, in the order in which the plan names them.
    pub inputs: Vec<Input>,
    /// The result's columns.
    pub columns: Vec<OutputColumn>,
    /// The fields that have a say in which rows there are, in what order or in what groups: they concern every column.
    pub rows: Vec<Source>,
    /// False if the plan held something that could not be traced; what is there is right, but something may be missing.
    pub complete: bool,
}

impl Lineage {
    /// The labels of the result's columns that a field has a part in, each once.
    pub fn outputs_of(&self, input: usize, field: &str) -> Vec<String> {
        let made = |column: &&OutputColumn| column.sources.iter().any(|source| source.input == input && source.field == field);
        let labels: BTreeSet<&String> = self.columns.iter().filter(made).map(|column| &column.name).collect();
        labels.into_iter().cloned().collect()
    }

    /// Notes that a field of a product is delivered masked.
    pub fn mark_masked(&mut self, product: &ProductRef, field: &str) {
        let inputs = self.inputs.iter_mut().filter(|input| &input.product == product);
        for field in inputs.flat_map(|input| &mut input.fields).filter(|read| read.name == field) {
            field.masked = true;
        }
    }
}

/// A port that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The product.
    pub product: ProductRef,
    /// Its port.
    pub port: PortName,
    /// The fields that are read, by name.
    pub fields: Vec<InputField>,
}

/// A field that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputField {
    /// The field.
    pub name: String,
    /// Its type in the plan.
    pub data_type: String,
    /// How it is used, each way once.
    pub uses: Vec<FieldUse>,
    /// Whether it is delivered masked.
    pub masked: bool,
}

/// A way in which a statement uses a field; the words are those of the access request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldUse {
    /// Its value, or something computed from it row by row, is in the result.
    Projected,
    /// In WHERE, HAVING or FILTER.
    Filtered,
    /// In a join's condition.
    Joined,
    /// In GROUP BY, DISTINCT, UNION or PARTITION BY.
    Grouped,
    /// In an ORDER BY.
    Sorted,
    /// In an aggregate or window function.
    Aggregated,
}

impl FieldUse {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projected => "projected",
            Self::Filtered => "filtered",
            Self::Joined => "joined",
            Self::Grouped => "grouped",
            Self::Sorted => "sorted",
            Self::Aggregated => "aggregated",
        }
    }
}

/// A column of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Its label. Labels may repeat.
    pub name: String,
    /// Its type in the plan.
    pub data_type: String,
    /// What it is made from. Empty for a constant.
    pub sources: Vec<Source>,
}

/// A field that something is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Index into [`Lineage::inputs`].
    pub input: usize,
    /// The field.
    pub field: String,
    /// The ways in which it has a part, each once.
    pub transformations: Vec<Transformation>,
}

/// A way in which a field has a part in something, in OpenLineage's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transformation {
    /// DIRECT: the value as it is.
    Identity,
    /// DIRECT: computed from the value.
    Computed,
    /// DIRECT: computed from many values.
    Aggregation,
    /// INDIRECT: decides which rows join.
    Join,
    /// INDIRECT: decides which rows make a group.
    GroupBy,
    /// INDIRECT: decides which rows count.
    Filter,
    /// INDIRECT: decides the order.
    Sort,
    /// INDIRECT: decides a window's partition or order.
    Window,
    /// INDIRECT: decides which branch of a CASE is taken.
    Conditional,
}

impl Transformation {
    /// `DIRECT` or `INDIRECT`.
    pub fn kind(self) -> &'static str {
        if self.is_direct() { "DIRECT" } else { "INDIRECT" }
    }

    /// The subtype.
    pub fn subtype(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Computed => "TRANSFORMATION",
            Self::Aggregation => "AGGREGATION",
            Self::Join => "JOIN",
            Self::GroupBy => "GROUP_BY",
            Self::Filter => "FILTER",
            Self::Sort => "SORT",
            Self::Window => "WINDOW",
            Self::Conditional => "CONDITIONAL",
        }
    }

    /// Whether the value itself goes in.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Identity | Self::Computed | Self::Aggregation)
    }

    /// What `inner` becomes when its result is used as `self` says. Associative, with `Identity` as its unit.
    pub(super) fn of(self, inner: Self) -> Self {
        match (self.is_direct(), inner.is_direct()) {
            (true, true) => self.max(inner),
            (true, false) => inner,
            (false, _) => self,
        }
    }
}

/// A field of an input, while the plan is traced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FieldKey {
    pub(super) input: usize,
    pub(super) field: String,
}

/// Fields and how they have a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources(pub(super) BTreeMap<FieldKey, BTreeSet<Transformation>>);

impl Sources {
    pub(super) fn add(&mut self, key: &FieldKey, transformation: Transformation) {
        match self.0.get_mut(key) {
            Some(known) => {
                known.insert(transformation);
            }
            None => {
                self.0.insert(key.clone(), BTreeSet::from([transformation]));
            }
        }
    }

    /// Adds all of `other`, used as `outer` says.
    pub(super) fn add_all(&mut self, other: &Self, outer: Transformation) {
        for (key, transformations) in &other.0 {
            for inner in transformations {
                self.add(key, outer.of(*inner));
            }
        }
    }

    pub(super) fn into_list(self) -> Vec<Source> {
        self.0
            .into_iter()
            .map(|(key, transformations)| Source {
                input: key.input,
                field: key.field,
                transformations: transformations.into_iter().collect(),
            })
            .collect()
    }
}

/// What is known of a plan's rows and columns, by position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) columns: Vec<Sources>,
    pub(super) rows: Sources,
}

impl Relation {
    /// Columns of no field.
    pub(super) fn blank(columns: usize) -> Self {
        Self { columns: vec![Sources::default(); columns], rows: Sources::default() }
    }

    /// Adds another relation's sources, position by position.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.add_all(theirs, Transformation::Identity);
        }
        self.rows.add_all(&other.rows, Transformation::Identity);
    }
}
