//! How a login proves itself: by a password (SCRAM), a token (in the password field or by OAUTHBEARER), a certificate, or two of them.
//!
//! INVARIANT: an unknown login and a wrong proof of the same kind cannot be told apart, and every wrong one counts towards slowing its
//! place down. A token is never asked for where it could be read on the way. What the operator is told of a refusal, the client is not.

use bytes::Bytes;
use pgwire::messages::Message;
use pgwire::messages::startup::Authentication;

use crate::error::{ClientMessage, SqlState};
use crate::identity::{Caller, CertificateNames, CertificateRules, Proof, ScramError};

use super::backend::{Backend, Login};
use super::connection::Shared;
use super::frame::{FrameReader, FrameWriter};
use super::frontend::{Cursor, violation};
use super::oauth::{self, OAUTHBEARER, TokenOffer};
use super::startup::{Client, Ended};

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_BOUND: &str = "SCRAM-SHA-256-PLUS";

/// The longest message of a proof: a token may be this long.
pub(super) const PROOF_BYTES_MAX: usize = 65 << 10;

/// Why nobody is logged in.
#[derive(Debug)]
pub(super) enum Unproved {
    /// There is nobody to tell, or the client has only asked how to log in.
    Ended(Ended),
    /// The client is told one thing, the operator why. `tried`: with a proof, which was wrong.
    Refused { message: Box<ClientMessage>, reason: String, tried: bool },
}

impl From<Ended> for Unproved {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Refused(message) => {
                let tried = message.sqlstate == SqlState::INVALID_PASSWORD;
                Self::Refused { reason: message.message.clone(), message: Box::new(message), tried }
            }
            other => Self::Ended(other),
        }
    }
}

impl From<ClientMessage> for Unproved {
    fn from(message: ClientMessage) -> Self {
        Ended::from(message).into()
    }
}

impl From<std::io::Error> for Unproved {
    fn from(error: std::io::Error) -> Self {
        Ended::from(error).into()
    }
}

/// How a login may prove itself beside by its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// SCRAM, and tokens for clients that would rather.
    Password { with_tokens: bool },
    /// A token in the password field.
    TokenAsPassword,
    /// OAUTHBEARER alone.
    Token,
}

/// A login's way to prove itself.
pub(super) struct Exchange<'a, B> {
    pub(super) user: &'a str,
    pub(super) client: &'a Client,
    /// The way that the client asks for (`meshgate.login`).
    pub(super) asked: Option<&'a str>,
    pub(super) shared: &'a Shared<B>,
    pub(super) reader: &'a mut FrameReader,
    pub(super) writer: &'a mut FrameWriter,
}

impl<B: Backend> Exchange<'_, B> {
    /// Lets the client prove that it is its login.
    pub(super) async fn prove(&mut self) -> Result<Caller, Unproved> {
        let shared = self.shared;
        let login = shared.backend.login(self.user);
        if let Some(rules) = &shared.options.certificates
            && self.certificate_proves(rules).await?
            && let Some(principal) = &login.principal
        {
            return Ok(Caller { principal: principal.clone(), proof: Proof::Certificate });
        }
        match self.method(&login)? {
            Method::Password { with_tokens } => self.sasl(login, with_tokens).await,
            Method::TokenAsPassword => self.token_as_password().await,
            Method::Token => {
                self.send(&Authentication::SASL(vec![OAUTHBEARER.to_owned()])).await?;
                let mut initial = Cursor::new(self.message().await?);
                if initial.text()? != OAUTHBEARER {
                    return Err(no_such_mechanism().into());
                }
                let first = initial.value()?;
                initial.end()?;
                self.oauth(first).await
            }
        }
    }

    /// Whether the client's certificate is proof enough; an error if it speaks against the login.
    async fn certificate_proves(&mut self, rules: &CertificateRules) -> Result<bool, Unproved> {
        match &self.client.certificate {
            None if rules.required => {
                let message = refusal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "connection requires a valid client certificate");
                Err(message.into())
            }
            None => Ok(false),
            Some(names) if rules.vouch_for(names, self.user) => Ok(rules.prove(names, self.user)),
            Some(names) => {
                self.shared.failures.turn(self.client.address.ip(), self.user).await.failed().await;
                let told = format!("certificate authentication failed for user \"{}\"", self.user);
                let message = refusal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, told);
                Err(Unproved::Refused {
                    message: Box::new(message),
                    reason: format!("the certificate does not stand for this login: {}", shown(names)),
                    tried: true,
                })
            }
        }
    }

    /// The way to prove itself that the login is asked for: its own wish, else by whether it has a password.
    fn method(&self, login: &Login) -> Result<Method, Unproved> {
        let offer = self.offer();
        let password_field = offer.is_some_and(|offer| offer.password_field);
        match self.asked {
            None if offer.is_none() || login.has_password => Ok(Method::Password { with_tokens: offer.is_some() }),
            None if password_field => Ok(Method::TokenAsPassword),
            None => Ok(Method::Token),
            Some("scram") => Ok(Method::Password { with_tokens: false }),
            Some("password") if password_field => Ok(Method::TokenAsPassword),
            Some("oauthbearer") if offer.is_some() => Ok(Method::Token),
            Some("password" | "oauthbearer") => {
                let message = refusal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "this way to log in is not offered here");
                Err(message.into())
            }
            Some(_) => {
                let message = refusal(SqlState::INVALID_PARAMETER_VALUE, "invalid value for parameter \"meshgate.login\"")
                    .with_hint("Available values: scram, password, oauthbearer.");
                Err(message.into())
            }
        }
    }

    /// What is told of tokens, if this client may send one.
    fn offer(&self) -> Option<&TokenOffer> {
        let nobody_listens =
            |offer: &&TokenOffer| self.client.is_encrypted() || (offer.plain_on_loopback && self.client.is_on_this_machine());
        self.shared.options.tokens.as_ref().filter(nobody_listens)
    }

    async fn sasl(&mut self, login: Login, with_tokens: bool) -> Result<Caller, Unproved> {
        let Login { principal, mut exchange, .. } = login;
        let mut mechanisms = Vec::new();
        if let Some(hash) = &self.client.certificate_hash {
            exchange = exchange.offering_channel_binding(hash);
            mechanisms.push(SCRAM_BOUND.to_owned());
        }
        mechanisms.push(SCRAM.to_owned());
        if with_tokens {
            mechanisms.push(OAUTHBEARER.to_owned());
        }
        self.send(&Authentication::SASL(mechanisms)).await?;
        let mut initial = Cursor::new(self.message().await?);
        let mechanism = initial.text()?;
        let first = initial.value()?;
        initial.end()?;
        match mechanism.as_str() {
            SCRAM => {}
            SCRAM_BOUND => exchange.choose_channel_binding().map_err(|failure| self.scram_refusal(failure))?,
            OAUTHBEARER if with_tokens => return self.oauth(first).await,
            _ => return Err(no_such_mechanism().into()),
        }
        let first = first.ok_or_else(|| violation("malformed SCRAM message"))?;
        let answer = exchange.first(&first).map_err(|failure| self.scram_refusal(failure))?;
        self.send(&Authentication::SASLContinue(answer.into())).await?;
        let last = self.message().await?;
        let turn = self.shared.failures.turn(self.client.address.ip(), self.user).await;
        match (exchange.last(&last), principal) {
            (Ok(answer), Some(principal)) => {
                turn.succeeded();
                self.writer.put(&Authentication::SASLFinal(answer.into()));
                Ok(Caller { principal, proof: Proof::Password })
            }
            (Ok(_), None) | (Err(ScramError::Failed), _) => {
                turn.failed().await;
                Err(self.scram_refusal(ScramError::Failed).into())
            }
            (Err(failure), _) => Err(self.scram_refusal(failure).into()),
        }
    }

    async fn token_as_password(&mut self) -> Result<Caller, Unproved> {
        self.send(&Authentication::CleartextPassword).await?;
        let mut body = Cursor::new(self.message().await?);
        let token = body.text()?;
        body.end()?;
        let told = format!("password authentication failed for user \"{}\"", self.user);
        self.check_token(&token).await.map_err(|reason| Unproved::Refused {
            message: Box::new(refusal(SqlState::INVALID_PASSWORD, told)),
            reason,
            tried: true,
        })
    }

    async fn oauth(&mut self, first: Option<Bytes>) -> Result<Caller, Unproved> {
        let first = match first {
            Some(first) => first,
            None => {
                self.send(&Authentication::SASLContinue(Bytes::new())).await?;
                self.message().await?
            }
        };
        let token = oauth::token(&first)?;
        let told = format!("OAuth bearer authentication failed for user \"{}\"", self.user);
        let message = refusal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, told);
        // Who has no token is told where to get one; that is no failed login.
        let failed = if token.is_empty() {
            Unproved::Ended(Ended::Refused(message))
        } else {
            match self.check_token(token).await {
                Ok(caller) => return Ok(caller),
                Err(reason) => Unproved::Refused { message: Box::new(message), reason, tried: true },
            }
        };
        let challenge = self.shared.options.tokens.as_ref().map(TokenOffer::challenge).unwrap_or_default();
        self.send(&Authentication::SASLContinue(challenge.into())).await?;
        if oauth::is_acknowledgement(&self.message().await?) { Err(failed) } else { Err(violation("malformed OAUTHBEARER message").into()) }
    }

    /// Whether the token is this login's; if not, why, for the operator.
    async fn check_token(&mut self, token: &str) -> Result<Caller, String> {
        let turn = self.shared.failures.turn(self.client.address.ip(), self.user).await;
        let checked = self.shared.backend.check_token(self.user, token).await;
        match checked {
            Ok(_) => turn.succeeded(),
            Err(_) => turn.failed().await,
        }
        checked
    }

    async fn send(&mut self, message: &impl Message) -> std::io::Result<()> {
        self.writer.put(message);
        self.writer.flush().await
    }

    async fn message(&mut self) -> Result<Bytes, Ended> {
        let frame = self.reader.next().await?;
        // Nothing but a proof, and the end, is read of who is unproved.
        frame.body.filter(|_| frame.kind == b'p').ok_or(Ended::Quietly)
    }

    fn scram_refusal(&self, failure: ScramError) -> ClientMessage {
        match failure {
            ScramError::Malformed(_) | ScramError::ChannelBinding => ClientMessage::from(&failure),
            ScramError::Failed => refusal(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{}\"", self.user)),
        }
    }
}

fn refusal(sqlstate: SqlState, message: impl Into<String>) -> ClientMessage {
    ClientMessage::new(sqlstate, message)
}

fn no_such_mechanism() -> ClientMessage {
    violation("client selected an invalid SASL authentication mechanism")
}

/// The names of a certificate for the log.
fn shown(names: &CertificateNames) -> String {
    let alternatives = [&names.emails, &names.dns_names, &names.uris].into_iter().flatten();
    names.common_name.iter().chain(alternatives).take(8).cloned().collect::<Vec<_>>().join(", ")
}
