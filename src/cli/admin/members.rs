//! How members come and go. Each command ends when its change is in force.

use cluster::proto::{
    AddMemberRequest, AdminMember, ChangeMemberRequest, MemberChange, MoveLeadRequest,
    NodeStatusReply, SetDrainingRequest,
};
use serde::Serialize;

use super::args::Form;
use super::connection::{Connection, member};
use super::error::AdminError;
use super::print::{columns, print};
use crate::cli::Exit;

/// A member, for people and programs.
#[derive(Debug, Serialize)]
pub struct MemberRow {
    node: u64,
    name: String,
    address: String,
    /// leader, voter or learner.
    role: &'static str,
    alive: bool,
    draining: bool,
    version: String,
    http_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_index: Option<u64>,
}

#[derive(Serialize)]
struct Members {
    members: Vec<MemberRow>,
}

#[derive(Serialize)]
struct Done<'a> {
    member: &'a str,
    done: &'static str,
}

/// The members as one node knows them.
pub fn rows(status: &NodeStatusReply) -> Vec<MemberRow> {
    let row = |member: &AdminMember| MemberRow {
        node: member.node,
        name: member.name.clone(),
        address: member.address.clone(),
        role: match (member.node == status.leader, member.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "learner",
        },
        alive: member.alive,
        draining: member.draining,
        version: member.version.clone(),
        http_address: member.http_address.clone(),
        matched_index: member.matched_index,
    };
    status.members.iter().map(row).collect()
}

/// Who belongs to the cluster.
pub async fn list(connection: &Connection, form: Form) -> Result<Exit, AdminError> {
    let members = rows(&connection.overview().await?);
    print(form, &Members { members }, |value| table(&value.members))?;
    Ok(Exit::Completed)
}

fn table(members: &[MemberRow]) -> String {
    let head = [
        "ID",
        "NAME",
        "ROLE",
        "STATE",
        "ADDRESS",
        "HTTP",
        "VERSION",
        "LOG UP TO",
    ];
    let row = |member: &MemberRow| {
        let state = match (member.alive, member.draining) {
            (false, _) => "down",
            (true, true) => "draining",
            (true, false) => "up",
        };
        vec![
            member.node.to_string(),
            member.name.clone(),
            member.role.to_owned(),
            state.to_owned(),
            member.address.clone(),
            member.http_address.clone(),
            member.version.clone(),
            member
                .matched_index
                .map(|index| index.to_string())
                .unwrap_or_default(),
        ]
    };
    columns(&head, &members.iter().map(row).collect::<Vec<_>>())
}

fn done(form: Form, member: &str, done: &'static str) -> Result<Exit, AdminError> {
    print(form, &Done { member, done }, |value| {
        format!("{}: {}", value.member, value.done)
    })?;
    Ok(Exit::Completed)
}

/// Lets a waiting node in.
pub async fn add(
    connection: &Connection,
    form: Form,
    address: &str,
    learner: bool,
    no_wait: bool,
) -> Result<Exit, AdminError> {
    let request = AddMemberRequest {
        target: None,
        address: address.to_owned(),
        stay_learner: learner,
    };
    let added = connection
        .call(request, async |mut client, request| {
            client.add_member(request).await
        })
        .await?;
    let id = added.node.to_string();
    if no_wait {
        return done(form, &id, "added");
    }
    wait(connection, form, &id, learner).await
}

/// Waits until a member has caught up, and has its vote.
pub async fn wait(
    connection: &Connection,
    form: Form,
    name: &str,
    learner: bool,
) -> Result<Exit, AdminError> {
    require(connection, name).await?;
    let waiting = if learner {
        "it has not caught up"
    } else {
        "it has no vote yet"
    };
    connection
        .wait(waiting, async |status| {
            let member = member(status, name)?;
            let caught_up = member.alive && member.incarnation > 0;
            (caught_up && (learner || member.voter)).then_some(())
        })
        .await?;
    done(form, name, if learner { "follows" } else { "has a vote" })
}

async fn require(connection: &Connection, name: &str) -> Result<(), AdminError> {
    let status = connection.overview().await?;
    member(&status, name)
        .map(|_| ())
        .ok_or_else(|| AdminError::Refused {
            message: format!("no member is called {name}"),
        })
}

async fn change(
    connection: &Connection,
    name: &str,
    change: MemberChange,
    force: bool,
) -> Result<(), AdminError> {
    let request = ChangeMemberRequest {
        target: None,
        member: name.to_owned(),
        change: change.into(),
        force,
    };
    let changed = connection.call(request, async |mut client, request| {
        client.change_member(request).await
    });
    changed.await.map(|_| ())
}

/// Gives a learner a vote.
pub async fn promote(connection: &Connection, form: Form, name: &str) -> Result<Exit, AdminError> {
    require(connection, name).await?;
    connection
        .wait("it has not got the log yet", async |status| {
            let last = status.last_log_index;
            let member = member(status, name)?;
            // The leader itself has no number of its own there.
            let near = member
                .matched_index
                .is_none_or(|matched| matched + 1000 >= last);
            (member.voter || near).then_some(())
        })
        .await?;
    change(connection, name, MemberChange::Promote, false).await?;
    wait(connection, form, name, false).await
}

/// Takes a member's vote.
pub async fn demote(
    connection: &Connection,
    form: Form,
    name: &str,
    force: bool,
) -> Result<Exit, AdminError> {
    change(connection, name, MemberChange::Demote, force).await?;
    connection
        .wait("it still has its vote", async |status| {
            (!status.joint && member(status, name).is_none_or(|member| !member.voter)).then_some(())
        })
        .await?;
    done(form, name, "has no vote any more")
}

/// Removes a member for good.
pub async fn remove(
    connection: &Connection,
    form: Form,
    name: &str,
    drained: bool,
    force: bool,
) -> Result<Exit, AdminError> {
    if drained {
        set_draining(connection, name, true).await?;
        wait_idle(connection, name).await?;
    }
    leave(connection, name, force).await?;
    done(form, name, "removed")
}

async fn leave(connection: &Connection, name: &str, force: bool) -> Result<(), AdminError> {
    change(connection, name, MemberChange::Remove, force).await?;
    connection
        .wait("it is still a member", async |status| {
            (!status.joint && member(status, name).is_none()).then_some(())
        })
        .await
}

/// Makes room for a new node of the same name.
pub async fn replace(
    connection: &Connection,
    form: Form,
    name: &str,
    force: bool,
) -> Result<Exit, AdminError> {
    let status = connection.overview().await?;
    if let Some(member) = member(&status, name)
        && member.alive
        && !force
    {
        let message = format!(
            "{name} seems to live: stop it first, and wait until `members` shows it down, or use --force"
        );
        return Err(AdminError::Refused { message });
    }
    leave(connection, name, force).await?;
    done(
        form,
        name,
        "removed; start the new node of this name now, with an empty directory",
    )
}

/// Hands the lead over.
pub async fn transfer_leader(
    connection: &Connection,
    form: Form,
    to: Option<&str>,
) -> Result<Exit, AdminError> {
    let request = MoveLeadRequest {
        target: None,
        to: to.unwrap_or_default().to_owned(),
    };
    let moved = connection
        .call(request, async |mut client, request| {
            client.transfer_leader(request).await
        })
        .await?;
    let name = connection
        .wait("the others do not follow it yet", async |status| {
            let leader = member(status, &moved.leader.to_string())?;
            (status.leader == moved.leader).then(|| leader.name.clone())
        })
        .await?;
    done(form, &name, "leads")
}

async fn set_draining(
    connection: &Connection,
    name: &str,
    draining: bool,
) -> Result<(), AdminError> {
    let request = SetDrainingRequest {
        target: None,
        member: name.to_owned(),
        draining,
    };
    let set = connection.call(request, async |mut client, request| {
        client.set_draining(request).await
    });
    set.await.map(|_| ())
}

async fn wait_idle(connection: &Connection, name: &str) -> Result<(), AdminError> {
    connection
        .wait("it still runs code", async |status| {
            if member(status, name).is_none_or(|member| !member.alive) {
                // Whatever it ran is gone with it.
                return Some(());
            }
            for channel in connection.channels() {
                if let Ok(of_node) = connection.status_of(channel, name).await {
                    // It has to know itself that it is drained, or it may take one more.
                    let knows = member(&of_node, name).is_some_and(|itself| itself.draining);
                    let left = of_node.executions_running + of_node.executions_queued;
                    return (knows && left == 0).then_some(());
                }
            }
            None
        })
        .await
}

/// Keeps new work away.
pub async fn drain(
    connection: &Connection,
    form: Form,
    name: &str,
    no_wait: bool,
) -> Result<Exit, AdminError> {
    set_draining(connection, name, true).await?;
    if no_wait {
        return done(form, name, "takes no new work");
    }
    wait_idle(connection, name).await?;
    done(form, name, "is drained")
}

/// Lets it take work again.
pub async fn undrain(connection: &Connection, form: Form, name: &str) -> Result<Exit, AdminError> {
    set_draining(connection, name, false).await?;
    done(form, name, "takes work")
}
