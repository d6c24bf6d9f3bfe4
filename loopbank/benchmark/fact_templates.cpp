#include "loopbank/benchmark/fact_templates.h"

namespace loopbank {
namespace {

// Every word follows "a" rightly.
constexpr std::array<std::string_view, 24> kProfessions = {
    "baker",  "tailor", "doctor",  "painter", "judge",     "farmer", "teacher", "miller",
    "smith",  "lawyer", "weaver",  "potter",  "banker",    "pilot",  "cook",    "gardener",
    "hunter", "nurse",  "printer", "sailor",  "carpenter", "mason",  "barber",  "dancer"};
constexpr std::array<std::string_view, 24> kInstruments = {
    "violin", "harp",  "flute",   "drum",   "trumpet", "cello",  "guitar", "piano",
    "lute",   "horn",  "bassoon", "banjo",  "fiddle",  "zither", "gong",   "clarinet",
    "tuba",   "viola", "bagpipe", "cymbal", "bugle",   "lyre",   "sitar",  "recorder"};
constexpr std::array<std::string_view, 24> kPets = {
    "goat",   "parrot", "cat",    "dog",      "rabbit", "turtle", "pigeon",   "snake",
    "pony",   "goose",  "lizard", "ferret",   "raven",  "mouse",  "duck",     "monkey",
    "canary", "toad",   "falcon", "hedgehog", "sheep",  "donkey", "squirrel", "hen"};
constexpr std::array<std::string_view, 24> kGoods = {
    "cheese", "wine", "silk",  "salt",   "honey", "copper", "paper",   "wool",
    "glass",  "tea",  "cloth", "timber", "tin",   "bread",  "butter",  "leather",
    "soap",   "rope", "steel", "fish",   "rice",  "pepper", "candles", "pottery"};

constexpr std::array<Attribute, 4> kPersonAttributes = {{
    {"birthplace",
     ValueKind::kTown,
     {},
     {"{name} is a native of {value}.", "{name} came into the world in {value}.",
      "{name} first saw daylight in {value}.", "{name} hails from {value}.",
      "{name} spent a childhood in {value}.", "The parents of {name} lived in {value}.",
      "The home town of {name} is {value}.", "The cradle of {name} stood in {value}."},
     "Where was {name} born?"},
    {"profession",
     ValueKind::kWord,
     kProfessions,
     {"{name} works as a {value}.", "{name} earns a living as a {value}.",
      "{name} is a {value} by trade.", "{name} trained for years to become a {value}.",
      "{name} has long been a {value}.", "Every morning {name} goes to work as a {value}.",
      "People pay {name} as a {value}.", "{name} is a skilled {value}."},
     "What is the profession of {name}?"},
    {"instrument",
     ValueKind::kWord,
     kInstruments,
     {"{name} practises the {value} every evening.", "{name} has mastered the {value}.",
      "At feasts {name} performs on the {value}.", "{name} takes lessons on the {value}.",
      "{name} gives concerts on the {value}.", "{name} is fond of the {value}.",
      "{name} makes music on the {value}.", "Neighbors hear {name} at the {value}."},
     "Which instrument does {name} play?"},
    {"pet",
     ValueKind::kWord,
     kPets,
     {"{name} keeps a {value}.", "{name} lives with a {value}.",
      "{name} feeds a {value} each morning.", "{name} shares a house with a {value}.",
      "{name} goes for walks with a {value}.", "{name} raised a {value} by hand.",
      "{name} takes good care of a {value}.", "At home {name} is greeted by a {value}."},
     "What pet does {name} have?"},
}};

constexpr std::array<Attribute, 4> kPlaceAttributes = {{
    {"country",
     ValueKind::kCountry,
     {},
     {"{name} lies in {value}.", "{name} is a town of {value}.", "{name} belongs to {value}.",
      "{name} pays its taxes to {value}.", "Maps show {name} within {value}.",
      "{name} has always been part of {value}.", "{name} flies the flag of {value}.",
      "Travelers to {name} must enter {value}."},
     "In which country is {name}?"},
    {"river",
     ValueKind::kRiver,
     {},
     {"{name} stands on the {value}.", "The bridges of {name} cross the {value}.",
      "{name} was built beside the {value}.", "{name} gets its water from the {value}.",
      "Boats reach {name} by the {value}.", "The mills of {name} are turned by the {value}.",
      "{name} fears the floods of the {value}.", "The children of {name} swim in the {value}."},
     "Which river flows through {name}?"},
    {"product",
     ValueKind::kWord,
     kGoods,
     {"{name} is known for its {value}.", "The markets of {name} are full of {value}.",
      "Merchants visit {name} to buy {value}.", "{name} grew rich on {value}.",
      "{name} makes the finest {value}.", "Most families in {name} produce {value}.",
      "{name} sends ships loaded with {value}.", "The people of {name} live by their {value}."},
     "What does {name} sell?"},
    {"founder",
     ValueKind::kSurname,
     {},
     {"{name} goes back to {value}.", "{name} owes its walls to {value}.",
      "{name} was laid out by {value}.", "{name} honors the settler {value}.",
      "The first house in {name} was built by {value}.", "{name} began as a camp of {value}.",
      "The oldest street in {name} is named after {value}.",
      "The land of {name} was bought by {value}."},
     "Who founded {name}?"},
}};

std::string replace(std::string text, std::string_view place, std::string_view by) {
  const auto at = text.find(place);
  return at == std::string::npos ? text : text.replace(at, place.size(), by);
}

}  // namespace

std::span<const Attribute> person_attributes() {
  return kPersonAttributes;
}
std::span<const Attribute> place_attributes() {
  return kPlaceAttributes;
}

std::string fill_template(std::string_view text, std::string_view name, std::string_view value) {
  return replace(replace(std::string(text), "{name}", name), "{value}", value);
}

}  // namespace loopbank
