use std::collections::VecDeque;

use super::Account;
use crate::{
    Result,
    backend::ApiPageRequest,
    error::{bail, err},
    model::{ApiPage, Json},
};

/// Pages that are fetched at most, unless [`Pages::at_most`] says otherwise.
const MOST_PAGES: usize = 1000;

/// A provider's list, fetched page by page as it is asked for. Nothing is fetched ahead, so whoever stops asking stops
/// the calls.
pub struct Pages {
    account: Account,
    request: ApiPageRequest,
    ended: bool,
    left: usize,
    most: usize,
    ready: VecDeque<Json>,
}

impl Pages {
    pub(super) fn new(account: Account, request: ApiPageRequest) -> Self {
        Self { account, request, ended: false, left: MOST_PAGES, most: MOST_PAGES, ready: VecDeque::new() }
    }

    /// How many pages may be fetched; one more is an error. Default 1,000.
    #[must_use]
    pub fn at_most(mut self, pages: usize) -> Self {
        (self.left, self.most) = (pages, pages);
        self
    }

    /// The next page; `None` after the last one. An answer with a status of failure is given as it is, and ends the list.
    ///
    /// # Errors
    /// Those of [`Account::request`]; `host_mismatch` when the provider's link leads to another host: nothing is sent there;
    /// `malformed_answer` when there is no list in the page; `answer_too_large` beyond [`Self::at_most`] pages. After an error the
    /// same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<ApiPage>> {
        if self.ended {
            return Ok(None);
        }
        if self.left == 0 {
            bail!(AnswerTooLarge, "the list has more than {} pages", self.most);
        }
        let page = self.account.page(self.request.clone()).await?;
        self.left -= 1;
        self.request.cursor.clone_from(&page.next);
        self.ended = page.next.is_none();
        Ok(Some(page))
    }

    /// The next item, whichever page it is on; `None` after the last one.
    ///
    /// # Errors
    /// As [`Self::next`]; `provider_error` for an answer with a status of failure.
    pub async fn next_item(&mut self) -> Result<Option<Json>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let Some(page) = self.next().await? else { return Ok(None) };
            let status = page.answer.status;
            if !(200..300).contains(&status) {
                return Err(err!(ProviderError, "a page was answered with {status}").with("status", status));
            }
            self.ready.extend(page.items);
        }
    }

    /// All items that are left, at most so many.
    ///
    /// # Errors
    /// As [`Self::next_item`]; `answer_too_large` when there are more.
    pub async fn all(mut self, most: usize) -> Result<Vec<Json>> {
        let mut items = Vec::new();
        while let Some(item) = self.next_item().await? {
            if items.len() >= most {
                bail!(AnswerTooLarge, "the list has more than {most} items");
            }
            items.push(item);
        }
        Ok(items)
    }
}
