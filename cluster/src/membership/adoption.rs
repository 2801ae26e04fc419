//! What an empty node answers when it is told what it is.

use super::marker::{Marker, Standing};
use crate::ids::{ClusterId, MalformedId, NodeName};
use crate::proto::AdoptRequest;

/// An order to an empty node, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Adoption {
    name: String,
    cluster_id: ClusterId,
    supersedes: Vec<ClusterId>,
    node: u64,
    from: NodeName,
    start: bool,
    /// It is not to ask for a vote.
    pub stay_learner: bool,
}

/// Why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdopted {
    /// It is meant for another node.
    #[error("this is node {own}, not {meant}: check the address under which it is known")]
    Misdirected { own: NodeName, meant: String },
    /// It is about to be the first node of another one.
    #[error("a cluster is being restored into the directory of node {own}")]
    Restoring { own: NodeName },
    /// It belongs to a cluster.
    #[error("node {own} belongs to cluster {cluster_id} already")]
    Taken {
        own: NodeName,
        cluster_id: ClusterId,
    },
}

impl TryFrom<AdoptRequest> for Adoption {
    type Error = MalformedId;

    fn try_from(request: AdoptRequest) -> Result<Self, MalformedId> {
        let supersedes = request
            .supersedes
            .iter()
            .map(|id| ClusterId::try_from(&id[..]));
        Ok(Self {
            name: request.name,
            cluster_id: ClusterId::try_from(&request.cluster_id[..])?,
            supersedes: supersedes.collect::<Result<_, _>>()?,
            node: request.node,
            from: request.from.parse().map_err(|_| MalformedId)?,
            start: request.start,
            stay_learner: request.stay_learner,
        })
    }
}

impl Adoption {
    /// The step to take; `None` when it was taken before.
    pub fn step(&self, marker: &Marker) -> Result<Option<Standing>, NotAdopted> {
        let own = marker.name.clone();
        if own.as_str() != self.name {
            return Err(NotAdopted::Misdirected {
                own,
                meant: self.name.clone(),
            });
        }
        match &marker.standing {
            Standing::Empty => Ok(Some(self.standing())),
            Standing::Restoring => Err(NotAdopted::Restoring { own }),
            Standing::Adopted {
                cluster_id,
                node,
                from,
            } => {
                let same = *cluster_id == self.cluster_id && *node == self.node;
                let revised = *from == self.from && self.supersedes.contains(cluster_id);
                if same && !self.start {
                    Ok(None)
                } else if same || revised {
                    Ok(Some(self.standing()))
                } else {
                    Err(NotAdopted::Taken {
                        own,
                        cluster_id: *cluster_id,
                    })
                }
            }
            Standing::Member { cluster_id, node }
                if *cluster_id == self.cluster_id && *node == self.node =>
            {
                Ok(None)
            }
            Standing::Member { cluster_id, .. } => Err(NotAdopted::Taken {
                own,
                cluster_id: *cluster_id,
            }),
            Standing::Forming(plan) => Err(NotAdopted::Taken {
                own,
                cluster_id: plan.cluster_id,
            }),
        }
    }

    fn standing(&self) -> Standing {
        let (cluster_id, node) = (self.cluster_id, self.node);
        if self.start {
            Standing::Member { cluster_id, node }
        } else {
            Standing::Adopted {
                cluster_id,
                node,
                from: self.from.clone(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adoption(cluster_id: ClusterId, supersedes: &[ClusterId], from: &str) -> Adoption {
        Adoption {
            name: "n2".into(),
            cluster_id,
            supersedes: supersedes.to_vec(),
            node: 2,
            from: from.parse().unwrap(),
            start: false,
            stay_learner: false,
        }
    }

    fn take(marker: &mut Marker, adoption: &Adoption) -> Result<(), NotAdopted> {
        if let Some(standing) = adoption.step(marker)? {
            marker.standing = standing;
        }
        Ok(())
    }

    #[test]
    fn a_plan_may_change_until_the_cluster_begins_and_only_by_its_author() {
        let mut marker = Marker::new("n2".parse().unwrap());
        let [first, second, third] = [(); 3].map(|()| ClusterId::random());
        take(&mut marker, &adoption(first, &[], "n1")).unwrap();
        take(&mut marker, &adoption(first, &[], "n1")).expect("the same again");
        take(&mut marker, &adoption(second, &[first], "n1")).expect("its author's newer plan");
        assert_eq!(marker.cluster_id(), Some(second));
        for other in [
            adoption(third, &[], "n1"),
            adoption(third, &[first], "n1"),
            adoption(third, &[second], "n3"),
        ] {
            assert!(matches!(
                take(&mut marker, &other),
                Err(NotAdopted::Taken { .. })
            ));
        }
        marker.standing = Standing::Member {
            cluster_id: second,
            node: 2,
        };
        take(&mut marker, &adoption(second, &[first], "n1")).expect("a late repetition");
        let late = adoption(third, &[second], "n1");
        assert!(take(&mut marker, &late).is_err(), "it may have voted");
    }

    #[test]
    fn an_order_for_another_node_is_refused() {
        let mut marker = Marker::new("n3".parse().unwrap());
        let order = adoption(ClusterId::random(), &[], "n1");
        assert!(matches!(
            take(&mut marker, &order),
            Err(NotAdopted::Misdirected { .. })
        ));
    }
}
