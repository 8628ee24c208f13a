"""Languages of sound and subtitles: tags as RFC 5646 writes them, and names in their own words.

Containers tell ISO 639-2 codes of three letters, of which many languages have two (ger and deu);
players choose by the shortest code of a language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from services.text.language_tags import normalize_case

UNDETERMINED = "und"
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}", re.ASCII)
# ISO 639-2 code (both where there are two), then the ISO 639-1 code.
_CODES = """
    aar=aa abk=ab afr=af aka=ak alb=sq amh=am ara=ar arg=an arm=hy asm=as ava=av ave=ae aym=ay
    aze=az bak=ba bam=bm baq=eu bel=be ben=bn bih=bh bis=bi bod=bo bos=bs bre=br bul=bg bur=my
    cat=ca ces=cs cha=ch che=ce chi=zh chu=cu chv=cv cor=kw cos=co cre=cr cym=cy cze=cs dan=da
    deu=de div=dv dut=nl dzo=dz ell=el eng=en epo=eo est=et eus=eu ewe=ee fao=fo fas=fa fij=fj
    fin=fi fra=fr fre=fr fry=fy ful=ff geo=ka ger=de gla=gd gle=ga glg=gl glv=gv gre=el grn=gn
    guj=gu hat=ht hau=ha heb=he her=hz hin=hi hmo=ho hrv=hr hun=hu hye=hy ibo=ig ice=is ido=io
    iii=ii iku=iu ile=ie ina=ia ind=id ipk=ik isl=is ita=it jav=jv jpn=ja kal=kl kan=kn kas=ks
    kat=ka kau=kr kaz=kk khm=km kik=ki kin=rw kir=ky kom=kv kon=kg kor=ko kua=kj kur=ku lao=lo
    lat=la lav=lv lim=li lin=ln lit=lt ltz=lb lub=lu lug=lg mac=mk mah=mh mal=ml mao=mi mar=mr
    may=ms mkd=mk mlg=mg mlt=mt mon=mn mri=mi msa=ms mya=my nau=na nav=nv nbl=nr nde=nd ndo=ng
    nep=ne nld=nl nno=nn nob=nb nor=no nya=ny oci=oc oji=oj ori=or orm=om oss=os pan=pa per=fa
    pli=pi pol=pl por=pt pus=ps que=qu roh=rm ron=ro rum=ro run=rn rus=ru sag=sg san=sa sin=si
    slk=sk slo=sk slv=sl sme=se smo=sm sna=sn snd=sd som=so sot=st spa=es sqi=sq srd=sc srp=sr
    ssw=ss sun=su swa=sw swe=sv tah=ty tam=ta tat=tt tel=te tgk=tg tgl=tl tha=th tib=bo tir=ti
    ton=to tsn=tn tso=ts tuk=tk tur=tr twi=tw uig=ug ukr=uk urd=ur uzb=uz ven=ve vie=vi vol=vo
    wel=cy wln=wa wol=wo xho=xh yid=yi yor=yo zha=za zho=zh zul=zu
"""
_SHORTEST = dict(re.findall(r"(\w+)=(\w+)", _CODES))
_NAMES = {  # in their own language; others are called by their tag
    "ar": "العربية",
    "cs": "Čeština",
    "da": "Dansk",
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fi": "Suomi",
    "fr": "Français",
    "hi": "हिन्दी",
    "it": "Italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nl": "Nederlands",
    "no": "Norsk",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "sv": "Svenska",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "中文",
}


def canonical_tag(text: str) -> str | None:
    """Write a language tag in canonical case with its shortest code; None if it is no tag.

    Source: RFC 5646, section 2.1.1 (case) and 2.2.1 (shortest code).
    """
    if not _TAG.fullmatch(text):
        return None
    language, *subtags = text.lower().split("-")
    return normalize_case("-".join([_SHORTEST.get(language, language), *subtags]))


def tag_of_code(code: str | None) -> str:
    """Read a container's language code; `und` for none and for those that name no language."""
    tag = canonical_tag(code or "")
    return UNDETERMINED if tag is None or tag in {"mul", "mis", "zxx", "qaa"} else tag


def unique_names(tags: Sequence[str], unknown: str) -> list[str]:
    """Name each of these languages, no two alike.

    Args:
        tags: canonical tags; `und` may be there several times.
        unknown: name of a language that is not told, such as Audio; followed by its place.
    """
    names = [_NAMES.get(tag.split("-")[0], tag) for tag in tags]
    counts = Counter(names)
    numbered = enumerate(zip(tags, names, strict=True), start=1)
    return [
        f"{unknown} {place}" if tag == UNDETERMINED else _distinct(tag, name, counts[name])
        for place, (tag, name) in numbered
    ]


def _distinct(tag: str, name: str, count: int) -> str:
    region = tag.partition("-")[2]
    return f"{name} ({region})" if count > 1 and region else name
