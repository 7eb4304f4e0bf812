//! Resources that need the facts of their host before they can be bound.

use std::sync::Arc;

use super::ResourceDecl;
use super::expand::{HostScope, expand};
use super::template::FactsView;
use crate::diagnostic::Diagnostics;
use crate::model::{HostFacts, Resource};

/// A resource of one host, bound if that is possible without the host's facts.
#[derive(Clone)]
pub enum ResourceBinding {
    /// The resource is bound.
    Bound(Arc<dyn Resource>),
    /// The resource uses `facts` and is bound after they are gathered.
    Deferred(Arc<DeferredResource>),
}

/// A resource that uses `facts`.
pub struct DeferredResource {
    pub(super) declaration: Arc<ResourceDecl>,
    pub(super) site: HostScope,
}

impl DeferredResource {
    /// Returns the name of the kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.declaration.kind
    }

    /// Binds the resource. Returns no resource if its condition is false, and several with a
    /// `loop`.
    ///
    /// # Errors
    /// All errors of the resource on a host with these facts.
    pub fn bind(&self, facts: &HostFacts) -> Result<Vec<Arc<dyn Resource>>, Diagnostics> {
        let bound = expand(&self.declaration, &self.site, &FactsView::known(facts))?;
        Ok(bound.into_iter().map(|bound| bound.resource).collect())
    }
}

impl std::fmt::Debug for ResourceBinding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bound(resource) => write!(formatter, "Bound({})", resource.id()),
            Self::Deferred(deferred) => write!(formatter, "Deferred({})", deferred.kind()),
        }
    }
}
