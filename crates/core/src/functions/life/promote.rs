//! Which version is the current one.

use serde_json::json;

use super::{Class, Functions, Precondition, Refusal, definition, no_version};
use crate::{catalog::Document, flags::Asked, functions::Definition, permissions::Permission};

impl Functions {
    /// Makes `number` the current version. Promoting the one that is current is fine and changes nothing.
    pub async fn promote(
        &self,
        asked: Asked<'_>,
        (name, number): (&str, u32),
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.switch(asked, (name, Some(number)), seen, false).await
    }

    /// Goes back to `number`; without one, to the version that was current before.
    pub async fn roll_back(
        &self,
        asked: Asked<'_>,
        (name, number): (&str, Option<u32>),
        seen: Precondition,
    ) -> Result<Document, Refusal> {
        self.switch(asked, (name, number), seen, true).await
    }

    async fn switch(
        &self,
        asked: Asked<'_>,
        (name, number): (&str, Option<u32>),
        seen: Precondition,
        back: bool,
    ) -> Result<Document, Refusal> {
        self.feed.permitted(asked.caller, asked.environment, Permission::FunctionWrite)?;
        let edit = self.feed.edit().await;
        let current = self.documents.find(asked.environment, name).await?;
        let expect = seen.expect(&self.documents.called(name), Some(current.revision))?;
        let mut function = definition(&current)?;
        let number = number
            .or_else(|| function.previous())
            .ok_or_else(|| Refusal::new(Class::Conflict, "nothing_before", nothing_before(&function)))?;
        if function.version(number).is_none() {
            return Err(no_version(&function, number));
        }
        if function.current == Some(number) {
            return Ok(current);
        }
        let detail = json!({"version": number, "before": function.current});
        if back {
            function.roll_back(number);
        } else {
            function.promote(number);
        }
        let verb = if back { "rolled_back" } else { "promoted" };
        let draft = self.drafted(asked.environment, (&function, expect), (verb, detail));
        self.store(&edit, asked, name, vec![draft]).await
    }
}

/// Why there is nothing to go back to, and what there is instead.
fn nothing_before(function: &Definition) -> String {
    let name = &function.name;
    let others = function.versions.iter().map(|version| version.number);
    let mut others: Vec<_> =
        others.filter(|number| Some(*number) != function.current).rev().take(10).collect();
    others.reverse();
    let others: Vec<_> = others.iter().map(ToString::to_string).collect();
    let instead = match others.as_slice() {
        [] => "there is no other version".to_owned(),
        others => format!("to let another one run, promote it by its number; there is {}", others.join(", ")),
    };
    match function.current {
        Some(current) => {
            format!(
                "nothing ran before version {current} of function `{name}` that could run again; {instead}"
            )
        }
        None => format!("no version of function `{name}` was promoted yet; {instead}"),
    }
}
