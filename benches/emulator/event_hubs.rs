//! The cheapest client that an event can come from: transfers written by hand into one buffer for each connection, as many
//! as the links have credit for, and nothing read but credit and outcomes. The AMQP library makes the handshake alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BytesMut};
use fe2o3_amqp_types::definitions::{Handle, ReceiverSettleMode, Role, SenderSettleMode};
use fe2o3_amqp_types::messaging::{DeliveryState, Source, Target};
use fe2o3_amqp_types::performatives::{Attach, Begin, ChannelMax, MaxFrameSize, Open, Performative};
use fe2o3_amqp_types::sasl::SaslInit;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use txgen::transaction::Transaction;

/// Bounds what hangs.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Bytes that are put together before they are written.
const CHUNK: usize = 128 * 1024;
const POLICY: &str = "RootManageSharedAccessKey";

/// Connections with senders to a hub.
pub(crate) struct EventHubs {
    senders: Vec<Sender>,
}

impl EventHubs {
    /// Connects so many times, with so many links on each connection.
    pub(crate) async fn connect(address: &str, key: &str, connections: usize, links: u32) -> anyhow::Result<Self> {
        let mut senders = Vec::with_capacity(connections);
        for _ in 0..connections {
            senders.push(Sender::connect(address, key, links).await?);
        }
        Ok(Self { senders })
    }

    /// The policy that may do everything.
    pub(crate) fn policy() -> &'static str {
        POLICY
    }

    /// Sends each of these events, and waits until all are accepted.
    pub(crate) async fn send(self, transactions: &Arc<Vec<Transaction>>) -> anyhow::Result<()> {
        let (count, mut tasks) = (self.senders.len(), JoinSet::new());
        for (number, sender) in self.senders.into_iter().enumerate() {
            let transactions = Arc::clone(transactions);
            tasks.spawn(async move { sender.send(transactions.iter().skip(number).step_by(count)).await });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    }
}

/// One connection.
struct Sender {
    stream: TcpStream,
    input: BytesMut,
    /// The credit of each link, by handle.
    credit: Vec<u32>,
    /// Deliveries begun on each link, which is what credit is counted from.
    begun: Vec<u32>,
}

impl Sender {
    async fn connect(address: &str, key: &str, links: u32) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let slots = links as usize;
        let mut sender = Self { stream, input: BytesMut::new(), credit: vec![0; slots], begun: vec![0; slots] };
        sender.authenticate(key).await?;
        sender.stream.write_all(b"AMQP\x00\x01\x00\x00").await?;
        sender.say(0, &Performative::Open(open())).await?;
        sender.say(0, &Performative::Begin(begin())).await?;
        for handle in 0..links {
            sender.say(0, &Performative::Attach(attach(handle))).await?;
        }
        sender.header().await?;
        while sender.credit.contains(&0) {
            sender.hear().await?;
        }
        Ok(sender)
    }

    async fn authenticate(&mut self, key: &str) -> anyhow::Result<()> {
        self.stream.write_all(b"AMQP\x03\x01\x00\x00").await?;
        let response = format!("\0{POLICY}\0{key}").into_bytes();
        let init = SaslInit { mechanism: "PLAIN".into(), initial_response: Some(response.into()), hostname: None };
        self.say(1, &init).await?;
        self.header().await?;
        // The mechanisms, then the outcome. After another one than 0 the connection is over, which is heard next.
        self.frame().await?;
        self.frame().await?;
        Ok(())
    }

    async fn say(&mut self, kind: u8, body: &impl Serialize) -> anyhow::Result<()> {
        let body = serde_amqp::to_vec(body)?;
        let mut frame = Vec::with_capacity(8 + body.len());
        frame.extend_from_slice(&u32::try_from(8 + body.len())?.to_be_bytes());
        frame.extend_from_slice(&[2, kind, 0, 0]);
        frame.extend_from_slice(&body);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Reads the protocol header that answers ours.
    async fn header(&mut self) -> anyhow::Result<()> {
        while self.input.len() < 8 {
            self.read().await?;
        }
        ensure!(self.input.starts_with(b"AMQP"), "this is not AMQP");
        self.input.advance(8);
        Ok(())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let read = timeout(TIME_LIMIT, self.stream.read_buf(&mut self.input)).await.context("nothing is heard")??;
        ensure!(read > 0, "the connection was closed");
        Ok(())
    }

    /// The body of the next frame.
    async fn frame(&mut self) -> anyhow::Result<BytesMut> {
        loop {
            if let Some(frame) = split(&mut self.input) {
                return Ok(frame);
            }
            self.read().await?;
        }
    }

    /// Takes one frame; gives how many deliveries it settles.
    async fn hear(&mut self) -> anyhow::Result<u32> {
        let frame = self.frame().await?;
        self.take(&frame)
    }

    fn take(&mut self, frame: &[u8]) -> anyhow::Result<u32> {
        if frame.is_empty() {
            return Ok(0);
        }
        match serde_amqp::from_slice(frame)? {
            Performative::Flow(flow) => {
                if let (Some(Handle(handle)), Some(credit)) = (flow.handle, flow.link_credit) {
                    let slot = handle as usize;
                    let ahead = self.begun[slot].wrapping_sub(flow.delivery_count.unwrap_or(0));
                    self.credit[slot] = credit.saturating_sub(ahead);
                }
                Ok(0)
            }
            Performative::Disposition(disposition) => match disposition.state {
                Some(DeliveryState::Accepted(_)) => {
                    Ok(disposition.last.unwrap_or(disposition.first) - disposition.first + 1)
                }
                state => bail!("an event was not accepted: {state:?}"),
            },
            Performative::Open(_) | Performative::Begin(_) | Performative::Attach(_) => Ok(0),
            other => bail!("the emulator ended it: {other:?}"),
        }
    }

    async fn send<'t>(mut self, transactions: impl Iterator<Item = &'t Transaction>) -> anyhow::Result<()> {
        let mut transactions = transactions.peekable();
        let (mut output, mut unsettled, mut id, mut slot) = (BytesMut::with_capacity(2 * CHUNK), 0_u32, 0_u32, 0_usize);
        loop {
            while output.len() < CHUNK && transactions.peek().is_some() {
                let slots = self.credit.len();
                let Some(next) = (0..slots).map(|ahead| (slot + ahead) % slots).find(|slot| self.credit[*slot] > 0)
                else {
                    break;
                };
                let Some(transaction) = transactions.next() else { break };
                write_transfer(&mut output, u8::try_from(next)?, id, transaction);
                self.credit[next] -= 1;
                self.begun[next] = self.begun[next].wrapping_add(1);
                (slot, id, unsettled) = (next + 1, id + 1, unsettled + 1);
            }
            if output.is_empty() && unsettled == 0 {
                return Ok(());
            }
            tokio::select! {
                written = self.stream.writable(), if !output.is_empty() => {
                    written?;
                    match self.stream.try_write(&output) {
                        Ok(count) => output.advance(count),
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                readable = timeout(TIME_LIMIT, self.stream.readable()) => {
                    readable.context("nothing is heard")??;
                    self.input.reserve(16 * 1024);
                    match self.stream.try_read_buf(&mut self.input) {
                        Ok(0) => bail!("the connection was closed"),
                        Ok(_) => {}
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error.into()),
                    }
                    while let Some(frame) = split(&mut self.input) {
                        unsettled -= self.take(&frame)?;
                    }
                }
            }
        }
    }
}

/// Takes the next frame off the input, if it is whole, and gives its body.
fn split(input: &mut BytesMut) -> Option<BytesMut> {
    let size = u32::from_be_bytes(*input.first_chunk::<4>()?) as usize;
    if input.len() < size {
        return None;
    }
    let mut frame = input.split_to(size);
    frame.advance(8);
    Some(frame)
}

/// A transfer (section 2.7.5) of a message with a partition key and one data section, on channel 0.
fn write_transfer(out: &mut BytesMut, handle: u8, id: u32, transaction: &Transaction) {
    const ANNOTATION: &[u8] = b"x-opt-partition-key";
    let (key, body) = (transaction.partition_key.as_bytes(), &transaction.body);
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0]);
    // handle, delivery-id, delivery-tag, message-format 0, settled false, more false.
    out.extend_from_slice(&[0x00, 0x53, 0x14, 0xc0, 17, 6, 0x52, handle, 0x70]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0xa0, 4]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0x43, 0x42, 0x42]);
    // Message annotations: a map of one symbol and one string. Keys are country codes, far below 128 bytes.
    let length = (1 + 2 + ANNOTATION.len() + 2 + key.len()) as u8;
    out.extend_from_slice(&[0x00, 0x53, 0x72, 0xc1, length, 2, 0xa3, ANNOTATION.len() as u8]);
    out.extend_from_slice(ANNOTATION);
    out.extend_from_slice(&[0xa1, key.len() as u8]);
    out.extend_from_slice(key);
    out.extend_from_slice(&[0x00, 0x53, 0x75, 0xb0]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(body);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

fn open() -> Open {
    Open {
        container_id: "benchmark".into(),
        hostname: None,
        max_frame_size: MaxFrameSize(u32::MAX),
        channel_max: ChannelMax(0),
        idle_time_out: None,
        outgoing_locales: None,
        incoming_locales: None,
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn begin() -> Begin {
    Begin {
        remote_channel: None,
        next_outgoing_id: 0,
        incoming_window: u32::MAX,
        outgoing_window: u32::MAX,
        handle_max: Handle(255),
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}

fn attach(handle: u32) -> Attach {
    Attach {
        name: format!("sender {handle}"),
        handle: Handle(handle),
        role: Role::Sender,
        snd_settle_mode: SenderSettleMode::Mixed,
        rcv_settle_mode: ReceiverSettleMode::First,
        source: Some(Box::new(Source::builder().address("benchmark").build())),
        target: Some(Box::new(Target::builder().address("transactions").build().into())),
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: None,
        offered_capabilities: None,
        desired_capabilities: None,
        properties: None,
    }
}
