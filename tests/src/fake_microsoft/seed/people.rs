//! Users and their mailboxes.

use serde_json::json;
use uuid::Uuid;

use super::licenses::Products;
use crate::fake_microsoft::directory::{
    Directory,
    entity::{Entity, Fragment, quoted},
    mailbox::Mailbox,
    schemas,
};

/// Given names as written, and as addresses spell them.
const GIVEN: [(&str, &str); 28] = [
    ("Anna", "anna"),
    ("Björn", "bjorn"),
    ("Chloé", "chloe"),
    ("Đorđe", "dorde"),
    ("Émile", "emile"),
    ("Fatima", "fatima"),
    ("Gökhan", "gokhan"),
    ("Hélène", "helene"),
    ("İpek", "ipek"),
    ("Jürgen", "jurgen"),
    ("Klára", "klara"),
    ("Łukasz", "lukasz"),
    ("María", "maria"),
    ("Nuño", "nuno"),
    ("Ólafur", "olafur"),
    ("Petra", "petra"),
    ("Quentin", "quentin"),
    ("Renée", "renee"),
    ("Şule", "sule"),
    ("Tomáš", "tomas"),
    ("Ursula", "ursula"),
    ("Vít", "vit"),
    ("Wei", "wei"),
    ("Xavier", "xavier"),
    ("Ýmir", "ymir"),
    ("Žofie", "zofie"),
    ("美咲", "misaki"),
    ("محمد", "mohamed"),
];

/// Surnames, likewise.
const SURNAMES: [(&str, &str); 17] = [
    ("Müller", "mueller"),
    ("O'Brien", "obrien"),
    ("de la Cruz", "delacruz"),
    ("Nguyễn", "nguyen"),
    ("Smith", "smith"),
    ("Åkesson", "akesson"),
    ("Novák", "novak"),
    ("Bianchi", "bianchi"),
    ("Weiß", "weiss"),
    ("Jones \"Jo\"", "jones"),
    ("佐藤", "sato"),
    ("Kowalczyk", "kowalczyk"),
    ("Santos", "santos"),
    ("Dupont", "dupont"),
    ("Yılmaz", "yilmaz"),
    ("van Dijk", "vandijk"),
    ("Иванова", "ivanova"),
];

/// Departments; the empty text is one of the ways to have none.
const DEPARTMENTS: [&str; 6] = [
    "Sales",
    "Forschung & Entwicklung",
    "",
    "人事部",
    "IT",
    "R\\D",
];

/// What a user object stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Worker,
    Guest,
    Shared,
    Room,
    Equipment,
    /// Almost nothing was ever set.
    Bare,
    Leaver,
    /// A service account whose names begin with no letter.
    Service,
}

const fn kind_of(number: usize) -> Kind {
    match number % 50 {
        10 | 35 => Kind::Guest,
        12 | 37 => Kind::Shared,
        14 => Kind::Room,
        15 => Kind::Equipment,
        18 => Kind::Bare,
        20 | 40 => Kind::Leaver,
        30 | 31 => Kind::Service,
        _ => Kind::Worker,
    }
}

/// Values that many users share.
struct Common {
    null: Fragment,
    yes: Fragment,
    no: Fragment,
    none: Fragment,
    member: Fragment,
    guest: Fragment,
    departments: Vec<Fragment>,
    titles: Vec<Fragment>,
    places: Vec<Fragment>,
    given: Vec<Fragment>,
    surnames: Vec<Fragment>,
}

impl Common {
    fn new() -> Self {
        let all = |texts: &[&str]| texts.iter().map(|text| quoted(text)).collect();
        Self {
            null: "null".into(),
            yes: "true".into(),
            no: "false".into(),
            none: "[]".into(),
            member: quoted("Member"),
            guest: quoted("Guest"),
            departments: all(&DEPARTMENTS),
            titles: all(&["Technician", "Head of Sales", "Ingénieur", "Trainee"]),
            places: all(&["DE", "US", "FR", "JP"]),
            given: GIVEN.iter().map(|(name, _)| quoted(name)).collect(),
            surnames: SURNAMES.iter().map(|(name, _)| quoted(name)).collect(),
        }
    }
}

/// Generates users and mailboxes.
pub fn generate(directory: &mut Directory, users: usize, initial: &str, products: &mut Products) {
    let common = Common::new();
    for number in 0..users {
        let id = directory.random.uuid();
        let dice = directory.random.next();
        let draft = Draft::new(number, id, dice, &directory.domain, initial);
        let (entity, mailbox) = draft.finish(&common, products, directory.features.p1);
        directory.users.insert(id, entity);
        if let Some(mailbox) = mailbox.filter(|_| directory.features.exchange) {
            directory.mailboxes.add(mailbox);
        }
    }
    if directory.features.exchange {
        add_leavers(directory, users / 200);
    }
}

struct Draft<'a> {
    number: usize,
    id: Uuid,
    dice: u64,
    kind: Kind,
    upn: String,
    mail: String,
    name: String,
    given: usize,
    surname: usize,
    initial: &'a str,
}

impl<'a> Draft<'a> {
    fn new(number: usize, id: Uuid, dice: u64, domain: &str, initial: &'a str) -> Self {
        let kind = kind_of(number);
        let given = usize::try_from(dice % 28).expect("small");
        let surname = usize::try_from(dice / 28 % 17).expect("small");
        let (given_name, given_plain) = GIVEN[given];
        let (family_name, family_plain) = SURNAMES[surname];
        let local = match (number, kind) {
            (0, _) => "admin".to_owned(),
            (1, _) => "user".to_owned(),
            (_, Kind::Service) if number % 50 == 30 => format!("_svc-{number}"),
            (_, Kind::Service) => format!("3rd-floor-{number}"),
            (_, Kind::Room) => format!("Room{number}"),
            _ => format!("{given_plain}.{family_plain}{number}"),
        };
        let name = match (number, kind) {
            (0, _) => "MOD Administrator".to_owned(),
            (1, _) => "Plain User".to_owned(),
            (_, Kind::Service) if number % 50 == 30 => format!("~ backup {number}"),
            (_, Kind::Service) => format!("3. Etage, Drucker {number}"),
            (_, Kind::Room) => format!("Raum {number}"),
            _ if number % 37 == 5 => format!("{family_name}, {given_name}"),
            _ if number % 41 == 6 => format!("{given_plain} {family_plain}"),
            _ => format!("{given_name} {family_name}"),
        };
        let (upn, mail) = match kind {
            Kind::Guest => (
                format!("{local}_fabrikam.com#EXT#@{initial}"),
                format!("{local}@fabrikam.com"),
            ),
            _ => (format!("{local}@{domain}"), format!("{local}@{domain}")),
        };
        Self {
            number,
            id,
            dice,
            kind,
            upn,
            mail,
            name,
            given,
            surname,
            initial,
        }
    }

    fn finish(
        self,
        common: &Common,
        products: &mut Products,
        activity: bool,
    ) -> (Entity, Option<Mailbox>) {
        let licensed = matches!(self.kind, Kind::Worker);
        let (licenses, states, has_mailbox) = if licensed {
            let assignment = products.assign(self.number);
            let states = assignment.states.clone();
            (
                Some(assignment.licenses.clone()),
                Some(states),
                assignment.mailbox,
            )
        } else {
            let never_set = self.kind == Kind::Bare;
            let none = (!never_set).then(|| common.none.clone());
            (none.clone(), none, false)
        };
        let mailbox = self.mailbox(has_mailbox);
        let entity = self.entity(common, licenses, states, activity);
        (entity, mailbox)
    }

    /// The values of a user, in the order of the schema.
    fn entity(
        &self,
        common: &Common,
        licenses: Option<Fragment>,
        states: Option<Fragment>,
        activity: bool,
    ) -> Entity {
        let some = |value: &Fragment| Some(value.clone());
        let bare = self.kind == Kind::Bare;
        let guest = self.kind == Kind::Guest;
        let synced = self.number % 5 == 3 && !guest;
        let roll = usize::try_from(self.dice >> 40).expect("24 bits");
        let values = vec![
            Some(quoted(&self.id.hyphenated().to_string())),
            Some(quoted(&self.name)),
            Some(quoted(&self.upn)),
            self.mail_value(common),
            some(if self.enabled() {
                &common.yes
            } else {
                &common.no
            }),
            match self.kind {
                Kind::Bare => some(&common.null),
                Kind::Guest => some(&common.guest),
                _ => some(&common.member),
            },
            Some(self.created()),
            guest.then(|| quoted("Invitation")),
            guest.then(|| match self.number % 150 {
                10 => quoted("PendingAcceptance"),
                35 => quoted("futureState"),
                _ => quoted("Accepted"),
            }),
            self.unless_unset(bare, common, &common.departments[roll % 6], roll),
            self.unless_unset(bare, common, &common.titles[roll % 4], roll / 8),
            (!bare && !guest).then(|| common.places[roll % 4].clone()),
            match self.number % 50 {
                _ if synced => some(&common.yes),
                7 => some(&common.no),
                9 => some(&common.null),
                _ => None,
            },
            synced.then(|| quoted(&format!("{:08x}AbC/+w==", self.dice >> 32))),
            self.password_changed(bare, common),
            licenses,
            states,
            self.proxy_addresses(bare, common),
            some(&common.none),
            (!bare).then(|| common.given[self.given].clone()),
            None,
            None,
            self.number.is_multiple_of(3).then(|| common.null.clone()),
            (!bare).then(|| common.surnames[self.surname].clone()),
            (activity && self.number % 4 != 1).then(|| self.sign_in_activity()),
        ];
        Entity::new(&schemas::USER, values)
    }

    const fn enabled(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Shared | Kind::Room | Kind::Equipment | Kind::Leaver
        )
    }

    fn mail_value(&self, common: &Common) -> Option<Fragment> {
        match self.kind {
            Kind::Bare => None,
            Kind::Leaver | Kind::Service => Some(common.null.clone()),
            _ => Some(quoted(&self.mail)),
        }
    }

    /// The value, or one of the ways to have none.
    fn unless_unset(
        &self,
        bare: bool,
        common: &Common,
        value: &Fragment,
        roll: usize,
    ) -> Option<Fragment> {
        match roll % 8 {
            _ if bare => None,
            0 => None,
            1 => Some(common.null.clone()),
            _ => Some(value.clone()),
        }
    }

    fn created(&self) -> Fragment {
        let (year, month, day) = self.day(self.dice);
        let fraction = ["", "", ".1", ".123", ".1234567"][self.number % 5];
        let (hour, minute) = (self.dice % 24, self.dice % 60);
        quoted(&format!(
            "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:05{fraction}Z"
        ))
    }

    fn password_changed(&self, bare: bool, common: &Common) -> Option<Fragment> {
        match self.kind {
            _ if bare => None,
            Kind::Guest => Some(common.null.clone()),
            Kind::Shared | Kind::Service => Some(quoted("0001-01-01T00:00:00Z")),
            _ => Some(self.created()),
        }
    }

    fn proxy_addresses(&self, bare: bool, common: &Common) -> Option<Fragment> {
        match self.kind {
            _ if bare => None,
            Kind::Leaver | Kind::Service => Some(common.none.clone()),
            Kind::Guest => Some(format!("[\"SMTP:{}\"]", self.mail).into()),
            _ => {
                let (mail, initial, number) = (&self.mail, self.initial, self.number);
                Some(format!("[\"SMTP:{mail}\",\"smtp:u{number}@{initial}\"]").into())
            }
        }
    }

    fn sign_in_activity(&self) -> Fragment {
        let (_, month, day) = self.day(self.dice >> 8);
        let at = format!("2026-{month:02}-{day:02}T16:41:33Z");
        json!({"lastSignInDateTime": at, "lastSignInRequestId": self.id,
            "lastNonInteractiveSignInDateTime": at, "lastNonInteractiveSignInRequestId": "",
            "lastSuccessfulSignInDateTime": null, "lastSuccessfulSignInRequestId": ""})
        .to_string()
        .into()
    }

    const fn day(&self, dice: u64) -> (u64, u64, u64) {
        (2014 + dice % 12, 1 + dice / 12 % 12, 1 + dice / 144 % 28)
    }

    fn mailbox(&self, licensed: bool) -> Option<Mailbox> {
        let purpose = match self.kind {
            Kind::Shared => "shared",
            Kind::Room => "room",
            Kind::Equipment => "equipment",
            Kind::Worker if !licensed => return None,
            Kind::Worker => match self.number % 100 {
                51 => "linked",
                53 => "others",
                57 => "unknownFutureValue",
                _ => "user",
            },
            Kind::Guest | Kind::Bare | Kind::Leaver | Kind::Service => return None,
        };
        let mut mailbox = Mailbox::of(self.id, purpose);
        let (year, month, day) = self.day(self.dice);
        mailbox.created_date = format!("{year}-{month:02}-{day:02}");
        if !self.number.is_multiple_of(9) {
            mailbox.last_activity_date = Some(format!("2026-{month:02}-{day:02}"));
            mailbox.item_count = self.dice % 200_000;
            mailbox.storage_used = self.dice % 90_000_000_000;
            mailbox.deleted_item_count = self.dice % 2_000;
            mailbox.deleted_item_size = self.dice % 1_000_000_000;
            mailbox.has_archive = self.number.is_multiple_of(7);
        }
        Some(mailbox)
    }
}

/// Mailboxes that the report still shows though their users are gone.
fn add_leavers(directory: &mut Directory, count: usize) {
    for number in 0..count {
        let mut mailbox = Mailbox::of(Uuid::nil(), "user");
        mailbox.user = None;
        let address = format!("leaver{number}@{}", directory.domain);
        mailbox.leaver = Some((address, format!("Worker, Former {number}")));
        mailbox.deleted_date = Some("2026-10-30".to_owned());
        mailbox.item_count = directory.random.next() % 1000;
        directory.mailboxes.add(mailbox);
    }
}
