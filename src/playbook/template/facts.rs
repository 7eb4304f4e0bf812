//! The object `facts` in templates. Before facts are gathered, it only records that a template uses
//! it: resolution then defers the binding of the resource until facts are gathered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Enumerator, Object, Serde, Value};

use crate::model::HostFacts;

/// The object that templates see as `facts`.
#[derive(Debug, Clone)]
pub(in crate::playbook) enum FactsView {
    /// Facts are not gathered yet: each use is recorded, and every field is undefined.
    Ungathered(Arc<UngatheredFacts>),
    /// Facts are gathered.
    Known(Value),
}

/// Placeholder for facts that are not gathered yet.
#[derive(Debug, Default)]
pub(in crate::playbook) struct UngatheredFacts {
    touched: AtomicBool,
}

impl FactsView {
    /// Makes a view without facts.
    pub(in crate::playbook) fn unknown() -> Self {
        Self::Ungathered(Arc::default())
    }

    /// Makes a view of gathered facts.
    pub(in crate::playbook) fn known(facts: &HostFacts) -> Self {
        Self::Known(Serde(facts).into())
    }

    /// Returns true if a template used facts that are not gathered yet.
    pub(in crate::playbook) fn were_missed(&self) -> bool {
        matches!(self, Self::Ungathered(unknown) if unknown.touched.load(Ordering::Relaxed))
    }

    pub(super) fn value(&self) -> Value {
        match self {
            Self::Ungathered(unknown) => Value::from_dyn_object(Arc::clone(unknown)),
            Self::Known(facts) => facts.clone(),
        }
    }
}

impl Object for UngatheredFacts {
    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        self.touched.store(true, Ordering::Relaxed);
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.touched.store(true, Ordering::Relaxed);
        Enumerator::Empty
    }

    fn render(self: &Arc<Self>, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.touched.store(true, Ordering::Relaxed);
        formatter.write_str("facts")
    }
}
