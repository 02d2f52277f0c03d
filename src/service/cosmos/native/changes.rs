//! The change feed of the container, page by page.

use hyper::StatusCode;
use hyper::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};

use super::answered::{text, unreadable};
use super::feed::{Document, Documents, KeyRange, RANGE_ID, value};
use super::request::{Request, json};
use super::resources::Resources;
use crate::service::cosmos::answer::RequestError;

const A_IM: HeaderName = HeaderName::from_static("a-im");
const INCREMENTAL: HeaderValue = HeaderValue::from_static("Incremental feed");

/// A page of a change feed.
#[derive(Debug)]
pub(in super::super) struct Changes {
    pub(in super::super) documents: Vec<Document>,
    /// The logical sequence number of the last change before the next page.
    pub(in super::super) position: i64,
}

/// Where a page of a change feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum After {
    /// After the change with this logical sequence number; 0 is before the first.
    Change(i64),
    /// After all that there is.
    Everything,
}

impl Resources {
    /// A page of the change feed of one partition key range; without documents where there are none yet. The service ends no
    /// page within a transactional batch.
    /// <https://learn.microsoft.com/rest/api/cosmos-db/list-documents>
    pub(in super::super) async fn changes(&self, range: &KeyRange, after: After) -> Result<Changes, RequestError> {
        let request = Request::get(self.address_of_container(&["docs"])?);
        let request = request.with(A_IM, INCREMENTAL).with(RANGE_ID, value(&*range.id)?);
        let answered = self
            .read(match after {
                // Without the header the feed begins at its beginning.
                After::Change(0) => request,
                After::Change(number) => request.with(IF_NONE_MATCH, value(format!("\"{number}\""))?),
                After::Everything => request.with(IF_NONE_MATCH, HeaderValue::from_static("*")),
            })
            .await?;
        let etag = text(&answered.head.headers, ETAG.as_str());
        let position = etag.and_then(|etag| etag.trim_matches('"').parse().ok()).ok_or_else(|| {
            let shown = etag.unwrap_or("none");
            unreadable(format_args!("it does not say how far it goes (etag: {shown})"))
        })?;
        let documents = match answered.head.status {
            StatusCode::NOT_MODIFIED => Vec::new(),
            _ => json::<Documents>(answered)?.documents,
        };
        Ok(Changes { documents, position })
    }
}
