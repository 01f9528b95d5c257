"""Make plausible titles for each niche, and measure the three facts about a title that affect views."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FACTS = ("starts_with_number", "is_short", "strong_word")
"""The three facts about a title that affect views, in the order of `title_facts`.

The facts are whether the title starts with a number, how short it is, and whether it has a strong word.
"""

STRONG_WORDS = ("Insane", "Shocking", "Incredible", "Ultimate", "Unbelievable", "Perfect", "Secret", "Terrifying")
_NEUTRAL_WORDS = ("Common", "Usual", "Simple", "Recent", "Ordinary", "Quiet", "Typical", "Basic")


@dataclass(frozen=True)
class Vocabulary:
    """The words from which the titles of a niche are made, and the niche's clutter shape.

    Args:
        motif: the clutter shape, a key of `motifs.MOTIFS`.
        channels: names of channels.
        plurals: nouns that follow a number.
        deeds: verbs with which a title can begin.
        topics: what a title is about.
        banners: pairs of lines for the large text in the picture.
    """

    motif: str
    channels: tuple[str, ...]
    plurals: tuple[str, ...]
    deeds: tuple[str, ...]
    topics: tuple[str, ...]
    banners: tuple[tuple[str, str], ...]


_HOW = (
    "on a Very Small Budget",
    "With a Complete Beginner",
    "in Less Than Ten Minutes",
    "for a Whole Month",
    "From the Very First Day",
)
_WHY = (
    "and What I Learned From It",
    "So That You Do Not Have To",
    "and Why It Matters to You",
    "Before It Is Too Late",
    "and How They Really Work",
)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, _, second in (part.strip().partition("/") for part in text.split("|")))


VOCABULARY: dict[str, Vocabulary] = {
    "tech": Vocabulary(
        "device",
        _words("Circuit Harbour|Byte & Bench|The Spec Sheet|Solder Sunday|Pocket Kernel|Gadget Granary"),
        _words("Upgrades|Mistakes|Settings|Tools|Features|Tricks"),
        _words("Reviewing|Testing|Building|Fixing|Comparing|Taking Apart"),
        _words(
            "Foldable Phones|Mechanical Keyboards|Home Servers|Budget Laptops|Smart Watches|Noise Cancelling Headphones|"
            "Gaming Monitors|Mesh Routers|Electric Bikes|Camera Drones|Mini PCs|Robot Vacuums"
        ),
        _pairs("DON'T/BUY IT|TOP/PICKS|IT'S/BACK|NEW/VS OLD|WORTH/IT?|TESTED/TWICE"),
    ),
    "gaming": Vocabulary(
        "square",
        _words("Pixel Orchard|Lag Spike Larry|Second Quest|Respawn Room|The Speedrun Shed|Boss Door"),
        _words("Builds|Bosses|Glitches|Weapons|Maps|Challenges"),
        _words("Beating|Exploring|Speedrunning|Breaking|Ranking|Replaying"),
        _words(
            "Hardcore Survival Worlds|Open World Maps|Retro Platformers|Ranked Matches|Indie Horror Games|"
            "Farming Simulators|Racing Leagues|Dungeon Crawlers|City Builders|Battle Royale Lobbies|Puzzle Rooms|"
            "Card Battlers"
        ),
        _pairs("I/WON|100/DAYS|NO/HITS|BOSS/FIGHT|GAME/OVER|HOW?!/WOW"),
    ),
    "education": Vocabulary(
        "bars",
        _words("Chalk & Orbit|Proof by Picture|The Slow Atlas|Why Though|Lecture Lantern|Numbers Cabin"),
        _words("Ideas|Facts|Lessons|Experiments|Paradoxes|Theories"),
        _words("Explaining|Understanding|Learning|Teaching|Visualising|Rethinking"),
        _words(
            "Black Holes|Prime Numbers|the Roman Empire|Quantum Computers|the Human Brain|Plate Tectonics|Game Theory|"
            "Ancient Languages|Climate Models|the Stock Market|Deep Sea Life|Probability Puzzles"
        ),
        _pairs("BUT/WHY?|THE/PROOF|IT'S/TRUE|HOW IT/WORKS|IN 5/STEPS|MIND/BLOWN"),
    ),
    "entertainment": Vocabulary(
        "star",
        _words("Couch Verdict|Midnight Matinee|The Dare Desk|Popcorn Parliament|Second Take|Big Little Stunts"),
        _words("Moments|Scenes|Pranks|Endings|Stunts|Dares"),
        _words("Watching|Ranking|Surviving|Recreating|Reacting to|Judging"),
        _words(
            "Talent Show Auditions|Movie Plot Twists|Award Show Speeches|Escape Rooms|Reality TV Finales|Magic Tricks|"
            "Celebrity Interviews|Superhero Trailers|Dance Battles|Karaoke Nights|Haunted Hotels|Game Show Fails"
        ),
        _pairs("OH/NO!|LAST/ONE|NO/WAY|WHO/WINS?|WE/LOST|BEST/EVER"),
    ),
    "people": Vocabulary(
        "heart",
        _words("Nell and the Van|Ordinary Tuesday|Two Suitcases|The Ferry Family|Letters to Lou|Small House Diaries"),
        _words("Habits|Days|Rules|Stories|Lessons|Regrets"),
        _words("Living With|Moving Into|Talking About|Giving Up|Leaving|Starting"),
        _words(
            "a Tiny House|Night Shifts|Long Distance Friends|Our New Town|a Morning Routine|Van Life|My First Marathon|"
            "Social Media|a Family Business|Student Debt|the Big City|Homemade Bread"
        ),
        _pairs("MY/STORY|WE/MOVED|I/QUIT|DAY/ONE|SO/LONG|WHAT/NOW?"),
    ),
    "beauty": Vocabulary(
        "flower",
        _words("Velvet Shelf|Bare Mirror|The Blend Room|Gloss & Grain|Rosewater Lab|Lash Ledger"),
        _words("Looks|Products|Steps|Shades|Hacks|Routines"),
        _words("Trying|Wearing|Mixing|Reviewing|Recreating|Finishing"),
        _words(
            "Drugstore Foundations|Winged Eyeliner|Glass Skin Routines|Curly Hair Products|Bridal Makeup|Lip Oils|"
            "Korean Sunscreens|Press On Nails|Vitamin C Serums|Vintage Hairstyles|Cream Blush|Brow Laminations"
        ),
        _pairs("GLOW/UP|ONLY/$5|WOW/SKIN|NO/FILTER|TRY/THIS|OLD/VS NEW"),
    ),
    "news": Vocabulary(
        "stripe",
        _words("Harbour Bulletin|The Noon Brief|Plain Report|Island Dispatch|Ledger Tonight|Field Desk"),
        _words("Questions|Numbers|Answers|Warnings|Votes|Reasons"),
        _words("Explaining|Following|Checking|Covering|Investigating|Tracking"),
        _words(
            "the Housing Market|Regional Elections|Interest Rates|Port Strikes|Wildfire Season|the Energy Bill|Rail Delays|"
            "Trade Talks|Hospital Waiting Lists|Flood Defences|School Funding|Satellite Launches"
        ),
        _pairs("LIVE/NOW|RATES/UP|THE/FACTS|WHAT/NEXT?|BIG/VOTE|JUST/IN"),
    ),
}


def compose(niche: str, rng: np.random.Generator) -> str:
    """Return a random title of 4 to 18 words.

    Half of the titles start with a number. Independently, half of the titles have a strong word.
    """
    words = VOCABULARY[niche]

    def pick(options: tuple[str, ...]) -> str:
        return options[int(rng.integers(len(options)))]

    adjective = pick(STRONG_WORDS if rng.random() < 0.5 else _NEUTRAL_WORDS)
    if rng.random() < 0.5:
        title = f"{int(rng.integers(3, 31))} {adjective} {pick(words.plurals)} About {pick(words.topics)}"
    else:
        title = f"{pick(words.deeds)} {pick(words.topics)}: {adjective} {pick(words.plurals)}"
    tails = int(rng.integers(0, 4))  # Bit 0 adds an ending from `_HOW`, and bit 1 adds an ending from `_WHY`.
    return " ".join([title, *([pick(_HOW)] if tails & 1 else []), *([pick(_WHY)] if tails & 2 else [])])


def title_facts(title: str) -> npt.NDArray[np.float64]:
    """Return the facts about a title in the order of `FACTS`, float64 (3,).

    The first and the last fact are 0 or 1. The second fact is minus the number of words, so it is larger for a short
    title.
    """
    words = re.findall(r"\w+", title)
    return np.array(
        [title[:1].isdigit(), -len(title.split()), any(word in STRONG_WORDS for word in words)], dtype=np.float64
    )
