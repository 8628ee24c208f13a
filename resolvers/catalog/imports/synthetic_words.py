"""Words for titles and names of the synthetic catalogue."""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


GENRES = _words(
    """
    drama comedy thriller romance action horror crime documentary adventure science-fiction family
    mystery fantasy animation war music history western
    """
)  # most frequent first
ADJECTIVES = _words(
    """
    Amber Broken Burning Crimson Distant Electric Empty Endless Fading Fallen Forgotten Frozen
    Gentle Golden Hidden Hollow Last Little Lonely Lost Midnight Northern Paper Quiet Restless
    Secret Shattered Silent Silver Sleeping Stolen Sudden Velvet Wandering Wild Winter
    """
)
NOUNS = _words(
    """
    Anchor Avenue Bridge Carnival Castle City Coast Compass Desert Dream Echo Empire Express Fire
    Garden Harbour Heart Highway Horizon Hour House Island Journey Kingdom Letter Lighthouse
    Mirror Moon Mountain Night Ocean Orchard Promise River Road Season Shadow Song Station Storm
    Stranger Street Summer Theatre Tide Tower Train Valley Voyage Window
    """
)
FIRST_NAMES = _words(
    """
    Ada Amal Anton Bela Bruno Carla Chen Dora Elena Emil Farah Felix Greta Hana Hugo Ines Ivan
    Jonas Kaito Lena Lucia Malik Mara Mei Nadia Nils Noor Olga Omar Paula Pedro Rosa Samir Sofia
    Tariq Tove Uma Victor Wanda Yara Yusuf Zoe
    """
)
LAST_NAMES = _words(
    """
    Abe Adler Almeida Andersen Banerjee Bauer Bianchi Castro Cohen Costa Diallo Dubois Eriksen
    Farkas Fischer Garcia Haddad Hansen Ivanova Jansen Kaya Kim Kowalski Laurent Lindqvist Marino
    Mensah Moreau Nakamura Novak Okafor Olsen Park Petrov Quinn Rossi Sato Silva Singh Tanaka Ueda
    Varga Weber Yilmaz Zhang
    """
)
