//! `smalt events`: the durable log.

use smalt::{Result, backend::ListEvents, model::Event};

use crate::{
    args,
    context::Context,
    output::{Answer, BOLD, DIM, clean, note, paint, print, print_json_line, to_json},
};

/// Entries that are read at once.
const PAGE: u32 = 1000;

pub async fn run(context: &Context, args: args::Events) -> Result<Answer> {
    context
        .with(false, async |smalt| match args.follow {
            true => follow(context, smalt, args.since).await,
            false => all(smalt, args.since, args.limit).await,
        })
        .await
}

/// Everything that is there now, up to a limit.
async fn all(smalt: &smalt::Smalt, since: Option<String>, limit: Option<u32>) -> Result<Answer> {
    let (mut events, mut cursor) = (Vec::new(), since);
    loop {
        let left = limit.map_or(PAGE, |limit| limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX)).min(PAGE));
        if left == 0 {
            break;
        }
        let page = smalt.events_page(ListEvents { since: cursor.clone(), limit: Some(left), wait: None }).await?;
        let Some(last) = page.items.last() else { break };
        cursor = Some(last.cursor.clone());
        events.extend(page.items);
    }
    let mut text: String = events.iter().map(|event| line(event) + "\n").collect();
    match &cursor {
        Some(cursor) => text.push_str(&format!("\nGo on from here: --since {}\n", clean(cursor))),
        None => text.push_str("Nothing happened yet.\n"),
    }
    Ok(Answer::new(serde_json::json!({ "items": events, "next": cursor }), text))
}

/// Everything, and what happens from now on. Ends with Ctrl-C.
async fn follow(context: &Context, smalt: &smalt::Smalt, since: Option<String>) -> Result<Answer> {
    note(&paint(DIM, "Following the log. Ctrl-C ends."));
    let mut events = smalt.events(since);
    loop {
        let event = events.next().await?;
        if context.global.json { print_json_line(&to_json(&event)) } else { print(&line(&event)) }
    }
}

fn line(event: &Event) -> String {
    let about = [event.account_id.as_deref(), event.application.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let data = if event.data.as_object().is_some_and(serde_json::Map::is_empty) { String::new() } else { event.data.to_string() };
    let name = format!("{:<22}", event.event_type.as_str());
    format!("{}  {}  {}  {}", paint(DIM, &event.at.to_string()), paint(BOLD, &name), clean(&about), paint(DIM, &clean(&data)))
}
