//! Generates what a PSA knows: the same seed gives the same data.
//!
//! The data hold what makes real PSAs awkward: names in other scripts and with quotes, two companies of
//! one name, websites as people write them, private mail addresses, records without most of their
//! members, and inactive and deleted ones.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use uuid::Uuid;

use super::world::{Company, Contact, MappedTenant, Place, Relation, Shape, Site, State, World};
use crate::fake_microsoft::seed::{Random, random_of};

/// Private mail providers.
const FREEMAIL: [&str; 6] = [
    "gmail.com",
    "outlook.com",
    "hotmail.co.uk",
    "btinternet.com",
    "t-online.de",
    "icloud.com",
];

const FIRST_WORDS: [&str; 24] = [
    "Harbour", "Orchard", "Kestrel", "Tarn", "Birch", "Copper", "Dale", "Elm", "Falcon", "Granite",
    "Heather", "Iron", "Juniper", "Kingsway", "Lime", "Meadow", "Nettle", "Oak", "Poplar",
    "Quarry", "Rowan", "Silver", "Thistle", "Umber",
];

const SECOND_WORDS: [&str; 20] = [
    "Dental",
    "Legal",
    "Logistics",
    "Engineering",
    "Accountants",
    "Architects",
    "Bakery",
    "Clinics",
    "Design",
    "Estates",
    "Farms",
    "Glass",
    "Homes",
    "Insurance",
    "Joinery",
    "Kitchens",
    "Labs",
    "Motors",
    "Nurseries",
    "Optics",
];

const ENDINGS: [&str; 6] = ["Ltd", "LLP", "Group", "& Sons", "plc", "Partners"];

const PEOPLE: [(&str, &str); 10] = [
    ("Priya", "Shah"),
    ("Tom", "Whitaker"),
    ("Łukasz", "Nowak"),
    ("Siân", "O'Connor"),
    ("Jürgen", "Groß"),
    ("Mei", "Lin"),
    ("Aisha", "Khan"),
    ("Bob", "Smith-Jones"),
    ("Zoë", "Clarke"),
    ("Ngozi", "Adeyemi"),
];

const CITIES: [(&str, &str, &str); 5] = [
    ("Bristol", "Avon", "BS1 6TR"),
    ("Birmingham", "West Midlands", "B2 5JR"),
    ("Köln", "NRW", "50667"),
    ("Leeds", "West Yorkshire", "LS1 4AP"),
    ("Dublin", "", "D02 X285"),
];

/// The first moment of generated records: 2024-01-01.
const BEGINNING: i64 = 1_704_067_200_000;
/// The days over which they were changed.
const DAYS: i64 = 500;

/// Where a PSA's ids begin, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    pub company: i64,
    pub step: i64,
    pub contact: i64,
    pub site: i64,
}

/// What a PSA is filled with.
#[derive(Clone, Debug)]
pub struct Seed {
    generated: usize,
    number: u64,
    firms: Vec<Firm>,
}

/// A company that is described by hand.
#[derive(Clone, Debug)]
pub struct Firm {
    pub name: String,
    pub code: Option<String>,
    pub website: Option<String>,
    pub state: State,
    pub relations: Vec<Relation>,
    pub tenant_field: Option<String>,
    pub mapped: Option<MappedTenant>,
    /// Mail addresses, one contact each.
    pub mails: Vec<String>,
}

impl Firm {
    /// A client with nothing but a name.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            code: None,
            website: None,
            state: State::Active,
            relations: vec![Relation::Client],
            tenant_field: None,
            mapped: None,
            mails: Vec::new(),
        }
    }

    /// With this short code.
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// With this website, as people write it.
    pub fn website(mut self, website: &str) -> Self {
        self.website = Some(website.to_owned());
        self
    }

    /// With a contact for each of these mail addresses.
    pub fn mails(mut self, mails: &[&str]) -> Self {
        self.mails = mails.iter().map(ToString::to_string).collect();
        self
    }

    /// With this text in the custom field "M365 Tenant Id".
    pub fn tenant_field(mut self, text: &str) -> Self {
        self.tenant_field = Some(text.to_owned());
        self
    }

    /// Named by HaloPSA's map of tenants.
    pub fn mapped(mut self, id: Uuid, domain: &str) -> Self {
        let domain = domain.to_owned();
        self.mapped = Some(MappedTenant { id, domain });
        self
    }

    /// In this state.
    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    /// Of this type.
    pub fn relation(mut self, relation: Relation) -> Self {
        self.relations = vec![relation];
        self
    }
}

impl Seed {
    /// Nothing at all.
    pub const fn empty() -> Self {
        Self {
            generated: 0,
            number: 0,
            firms: Vec::new(),
        }
    }

    /// So many companies, all of them followed by this number.
    pub const fn companies(count: usize, number: u64) -> Self {
        Self {
            generated: count,
            number,
            firms: Vec::new(),
        }
    }

    /// The customers of Northgate Managed IT, a handful whose Microsoft tenants exist in the demo: each
    /// shows another kind of evidence.
    pub fn northgate() -> Self {
        Self::empty()
            .with(
                Firm::new("Contoso Ltd")
                    .code("CON-001")
                    .website("https://www.contoso.example/about")
                    .mails(&["ada@contoso.example", "bert@contoso.example"]),
            )
            .with(
                Firm::new("Fabrikam GmbH & Co. KG")
                    .code("FAB-002")
                    .website("Fabrikam.example")
                    .mails(&["carla@fabrikam.example", "carla.private@gmail.com"]),
            )
            .with(
                Firm::new("Woodgrove Bank")
                    .code("WOO-003")
                    .mails(&["admin@woodgrove.onmicrosoft.com", "dora@woodgrove.example"]),
            )
            .with(
                Firm::new("Tailspin Toys")
                    .code("TAI-004")
                    .tenant_field(&format!("\u{200e}{} ", tenant_of("tailspin.example")))
                    .mapped(tenant_of("tailspin.example"), "tailspin.onmicrosoft.com")
                    .mails(&["emil@hotmail.co.uk"]),
            )
            .with(
                Firm::new("Litware, Inc.")
                    .code("LIT-005")
                    .website("n/a")
                    .mails(&["fay@litware.example", "gil@litware.example"]),
            )
            .with(Firm::new("Old Mill Café").state(State::Inactive))
            .with(
                Firm::new("Northgate's Paper Supplier")
                    .relation(Relation::Vendor)
                    .website("paper.example"),
            )
    }

    /// With one more, described by hand; these come first.
    pub fn with(mut self, firm: Firm) -> Self {
        self.firms.push(firm);
        self
    }

    /// Generates it all. `keeps_deleted`: whether the PSA keeps deleted companies with a mark.
    pub fn build(&self, ids: Ids, keeps_deleted: bool) -> World {
        let mut builder = Builder {
            ids,
            companies: Vec::with_capacity(self.firms.len() + self.generated),
            contacts: Vec::with_capacity(self.generated * 3),
            sites: Vec::with_capacity(self.generated * 2),
        };
        for firm in &self.firms {
            builder.add_firm(firm);
        }
        let mut random = Random::new(self.number ^ 0x5eed);
        for number in 0..self.generated {
            builder.add_generated(number, &mut random, keeps_deleted);
        }
        World {
            companies: by_id(builder.companies, |company| company.id),
            contacts: by_id(builder.contacts, |contact| contact.id),
            sites: by_id(builder.sites, |site| site.id),
            tickets: BTreeMap::new(),
            step: ids.step,
        }
    }
}

/// The id that the stand-in for Microsoft gives a tenant with this default domain.
pub fn tenant_of(domain: &str) -> Uuid {
    random_of(domain).uuid()
}

fn by_id<T>(rows: Vec<T>, id: impl Fn(&T) -> i64) -> BTreeMap<i64, T> {
    rows.into_iter().map(|row| (id(&row), row)).collect()
}

struct Builder {
    ids: Ids,
    companies: Vec<Company>,
    contacts: Vec<Contact>,
    sites: Vec<Site>,
}

impl Builder {
    fn next_company(&self) -> i64 {
        self.ids.company + number(self.companies.len()) * self.ids.step
    }

    fn add_firm(&mut self, firm: &Firm) {
        let id = self.next_company();
        let mut company = Company::new(id, &firm.name, BEGINNING);
        company.code = firm.code.clone().or(company.code);
        company.website.clone_from(&firm.website);
        company.state = firm.state;
        company.relations.clone_from(&firm.relations);
        company.tenant_field.clone_from(&firm.tenant_field);
        company.mapped.clone_from(&firm.mapped);
        company.address = place(0);
        company.main_site = Some(self.add_site(id, "Main", true, place(0)));
        let first_contact = self.ids.contact + number(self.contacts.len());
        company.main_contact = (!firm.mails.is_empty()).then_some(first_contact);
        for (n, mail) in firm.mails.iter().enumerate() {
            let (first, last) = PEOPLE[n % PEOPLE.len()];
            self.add_contact(id, first, Some(last), vec![mail.clone()], n == 0);
        }
        self.companies.push(company);
    }

    fn add_generated(&mut self, n: usize, random: &mut Random, keeps_deleted: bool) {
        let id = self.next_company();
        let dice = random.next();
        let roll = |shift: u32, bound: u64| (dice >> shift) % bound;
        let name = name_of(n, roll(0, 6));
        let slug = format!(
            "{}{}{n}",
            FIRST_WORDS[n % FIRST_WORDS.len()].to_lowercase(),
            SECOND_WORDS[(n / FIRST_WORDS.len()) % SECOND_WORDS.len()].to_lowercase()
        );
        let own = format!("{slug}.example");
        let state = match roll(4, 100) {
            0..=7 => State::Inactive,
            8..=10 if keeps_deleted => State::Deleted,
            8..=10 => State::Inactive,
            11 => State::OnHold,
            _ => State::Active,
        };
        let relations = match roll(12, 20) {
            0 => vec![Relation::Prospect],
            1 => vec![Relation::Vendor],
            2 => vec![Relation::Client, Relation::Partner],
            3 => Vec::new(),
            _ => vec![Relation::Client],
        };
        let tenant = (roll(20, 10) == 0).then(|| tenant_of(&own));
        let shape = match roll(24, 8) {
            0 => Shape::Sparse,
            1 => Shape::Nulls,
            _ => Shape::Full,
        };
        let updated = BEGINNING + (dice >> 8).cast_signed().rem_euclid(DAYS * 86_400_000);
        let place = place(n);
        let contacts = random.below(6);
        let branches = if roll(28, 5) == 0 { 2 } else { 1 };
        self.companies.push(Company {
            id,
            code: (roll(32, 12) != 0 || name.is_none())
                .then(|| format!("{}-{n:05}", &slug[..3].to_uppercase())),
            name,
            state,
            relations,
            website: website(roll(36, 8), &own),
            phone: (roll(40, 3) != 0).then(|| format!("0117 496 {:04}", n % 10_000)),
            address: if shape == Shape::Full {
                place.clone()
            } else {
                Place::default()
            },
            tenant_field: tenant.map(|id| match roll(44, 3) {
                0 => format!("\u{200e}{{{}}}", id.to_string().to_uppercase()),
                1 => format!(" {id}"),
                _ => id.to_string(),
            }),
            notes_field: (roll(48, 40) == 0).then(|| format!("{slug}.onmicrosoft.com")),
            mapped: (roll(52, 12) == 0).then(|| MappedTenant {
                id: tenant_of(&own),
                domain: format!("{slug}.onmicrosoft.com"),
            }),
            domain: (roll(56, 6) == 0).then(|| own.clone()),
            main_site: Some(self.ids.site + number(self.sites.len())),
            main_contact: (contacts > 0).then(|| self.ids.contact + number(self.contacts.len())),
            created: BEGINNING,
            updated,
            shape,
        });
        for branch in 0..branches {
            let name = if branch == 0 {
                "Main"
            } else {
                "Branch surgery"
            };
            self.add_site(id, name, branch == 0, place.clone());
        }
        for contact in 0..contacts {
            let (first, last) = PEOPLE[(n + contact) % PEOPLE.len()];
            let local = first.to_lowercase();
            let mails = match random.below(12) {
                0..=2 => vec![format!(
                    "{local}{n}@{}",
                    FREEMAIL[(n + contact) % FREEMAIL.len()]
                )],
                3 => Vec::new(),
                4 => vec![format!("{local}@{slug}.onmicrosoft.com")],
                5 => vec![
                    format!("{local}@{}", own.to_uppercase()),
                    format!("{local}{n}@gmail.com"),
                ],
                6 => vec!["no mail".to_owned()],
                _ => vec![format!("{local}@{own}")],
            };
            let last = (contact != 3).then_some(last);
            self.add_contact(id, first, last, mails, contact == 0);
        }
    }

    fn add_site(&mut self, company: i64, name: &str, primary: bool, address: Place) -> i64 {
        let id = self.ids.site + number(self.sites.len());
        self.sites.push(Site {
            id,
            company,
            name: name.to_owned(),
            address,
            phone: primary.then(|| "0117 496 0123".to_owned()),
            primary,
            active: primary || company % 3 != 0,
            updated: BEGINNING,
        });
        id
    }

    fn add_contact(
        &mut self,
        company: i64,
        first: &str,
        last: Option<&str>,
        mails: Vec<String>,
        primary: bool,
    ) {
        let n = self.contacts.len();
        self.contacts.push(Contact {
            id: self.ids.contact + number(n),
            company,
            first: first.to_owned(),
            last: last.map(str::to_owned),
            mails,
            phone: None,
            active: primary || !n.is_multiple_of(9),
            primary,
            service: false,
            updated: BEGINNING,
        });
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).expect("a small number")
}

/// Some names stand twice, some are missing, some need care when they are written or compared.
fn name_of(n: usize, ending: u64) -> Option<String> {
    let plain = |n: usize| {
        let ending = usize::try_from(ending).expect("a small number");
        format!(
            "{} {} {n} {}",
            FIRST_WORDS[n % FIRST_WORDS.len()],
            SECOND_WORDS[(n / FIRST_WORDS.len()) % SECOND_WORDS.len()],
            ENDINGS[ending]
        )
    };
    Some(match n % 1000 {
        400 => "Twice Named Ltd".to_owned(),
        401 => "Twice Named Ltd".to_owned(),
        17 => format!("  {} ", plain(n)),
        23 => format!("{} \"The Original\"", plain(n)),
        31 => format!("Bäckerei Öz & Töchter {n}"),
        37 => format!("株式会社 {n}"),
        41 => format!("O'Brien's <Bikes> {n} + Co"),
        999 => return None,
        _ => plain(n),
    })
}

fn website(kind: u64, own: &str) -> Option<String> {
    Some(match kind {
        0 => format!("https://{own}/contact?from=psa"),
        1 => format!("http://WWW.{}", own.to_uppercase()),
        2 => own.to_owned(),
        3 => String::new(),
        4 => return None,
        5 => "n/a".to_owned(),
        6 => format!("https://facebook.com/{own}"),
        _ => format!("www.{own}"),
    })
}

fn place(n: usize) -> Place {
    let (city, state, postal_code) = CITIES[n % CITIES.len()];
    Place {
        street: Some(format!("{} Quayside", n % 200 + 1)),
        second: n.is_multiple_of(3).then(|| "Floor 2".to_owned()),
        city: Some(city.to_owned()),
        state: (!state.is_empty()).then(|| state.to_owned()),
        postal_code: Some(postal_code.to_owned()),
        country: Some(if city == "Köln" {
            "Germany"
        } else {
            "United Kingdom"
        }),
    }
}
