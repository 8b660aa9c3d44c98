r"""The words that matter to a reader of answers, by language: patterns as text, put together where they are used.

Each language lists what it calls an answer and what links it to its value; words that conclude; words that explain what was
said before them; words that leave a value open; and bounds, which stand before or behind a number. Scripts without spaces
(Chinese, Japanese) need no word boundary, all others get one.
"""

import re
from collections.abc import Iterable

# what an answer is called; a colon may follow, or one of LINKS
ANSWERS = (
    r"(?:(?:final|correct|right|best)\s+){0,3}answers?(?:\s+choice)?"
    r"(?:\s+(?:to|for)\s+(?:part\s+\(?\w\)?|(?:the|this|our)\s+(?:\w+\s+){0,3}?\w+))?",
    r"(?:correct|right|best)\s+(?:option|choice|alternative|letter|statement)",
    r"ans\b\.?",
    r"r[ée]ponse(?:\s+(?:finale|correcte|exacte))?", r"respuesta(?:\s+(?:final|correcta))?",
    r"resposta(?:\s+(?:final|correta))?", r"risposta(?:\s+(?:finale|corretta|esatta))?", r"antwort", r"endergebnis",
    r"ответ", r"(?:ال)?(?:إجابة|اجابة|جواب)(?:\s+(?:النهائية|الصحيحة|النهائي|الصحيح))?", r"(?:सही\s+|अंतिम\s+)?उत्तर",
    r"सही\s+विकल्प", r"(?:opción|opci[óo]n|alternativa|option|opção|opzione)\s+(?:correcta|correcte|correta|corretta)",
    r"bonne\s+réponse", r"правильный\s+вариант", r"richtige\s+(?:antwort|option)", r"الخيار\s+الصحيح",
    r"cevap", r"yanıt", r"đáp\s+án", r"đáp\s+số", r"câu\s+trả\s+lời(?:\s+cuối\s+cùng)?",
)  # fmt: skip
ANSWERS_UNSPACED = (r"答案", r"正解", r"答え", r"解答", r"(?:正确|正確)(?:选项|選項)", r"정?답(?!변)")
LINKS = (
    r"is", r"are", r"equals", r"becomes", r"comes\s+(?:out\s+)?to", r"turns\s+out\s+to\s+be", r"will\s+be", r"was",
    r"of(?=\s*\W{0,4}\d|\s*\$"
    r"|\s*\\)", r"est", r"vaut", r"es", r"será", r"é", r"è", r"ist", r"lautet", r"beträgt", r"равен",
    r"равно", r"это", r"هي", r"هو",
    r"है", r"là",
)  # fmt: skip
LINKS_UNSPACED = (r"(?:应该|应)?(?:是|为|等于|选择?)", r"は", r"[은는]", r":", r"：", r"=", r"—", r"–")
# what names a choice by itself: "故选 C"
CHOOSES_UNSPACED = (r"(?:故|因此|所以|本题|应)(?:本题)?选择?", r"(?<![\w回解])答\s*[:：]")

CONCLUDES = (
    r"therefore", r"thus", r"hence", r"so(?!\s+(?:that(?!['’]s|\s+(?:is|makes|means|gives|leaves))|far|many|much|on"
    r"|called)\b)", r"consequently", r"in\s+conclusion", r"the\s+answer(?=\s+(?:must|has\s+to)\s+be\b)",
    r"in\s+total", r"altogether", r"in\s+all", r"finally", r"overall", r"as\s+a\s+result", r"we\s+conclude(?:\s+that)?",
    r"it\s+follows\s+that", r"accordingly", r"conclusion",
    r"donc", r"ainsi", r"par\s+conséquent", r"finalement", r"en\s+conclusion", r"au\s+total", r"on\s+(?:en\s+)?déduit",
    r"on\s+conclut", r"por\s+(?:lo\s+)?tanto", r"entonces", r"así(?:\s+que)?", r"luego", r"en\s+total", r"en\s+conclusión",
    r"por\s+consiguiente", r"portanto", r"logo", r"assim", r"então", r"no\s+total", r"quindi", r"dunque", r"pertanto",
    r"perciò", r"in\s+totale", r"in\s+conclusione", r"also", r"daher", r"somit", r"folglich", r"deshalb", r"insgesamt",
    r"demnach", r"schließlich", r"следовательно", r"таким\s+образом", r"значит", r"итак", r"итого", r"поэтому", r"отсюда",
    r"в\s+итоге", r"따라서", r"그러므로", r"즉", r"결국", r"इसलिए", r"अतः", r"अत:", r"इस\s+प्रकार", r"कुल\s+मिलाकर",
    r"إذن", r"إذًا", r"لذلك", r"و?بالتالي", r"لذا", r"وعليه", r"bu\s+nedenle", r"dolayısıyla", r"sonuç\s+olarak", r"böylece",
    r"o\s+halde", r"toplamda", r"vậy", r"do\s+đó", r"vì\s+vậy", r"suy\s+ra", r"tổng\s+cộng",
)  # fmt: skip
CONCLUDES_UNSPACED = (
    "所以", "因此", "综上(?:所述)?", "綜上(?:所述)?", "故", "于是", "總共", "总共", "一共", r"答\s*[:：]",
    "したがって", "従って",
    "よって", "ゆえに", "以上より", "∴",
)  # fmt: skip

EXPLAINS = (
    r"because", r"since", r"I\s+hope", r"see",
    r"as(?=\s+(?:there|the|we|it|he|she|each|this|that|they|all|every|both|no|only|\w+\s+(?:is|are"
    r"|has|have|was))\b)",
    r"(?<!in )(?<!for )(?<!of )(?<!at )(?<!from )which", r"although", r"though", r"even\s+though", r"so(?!\s+(?:far|many"
    r"|much|that)\b)", r"thus", r"therefore", r"hence", r"meaning", r"i\.e", r"given\s+that",
    r"rather\s+than", r"instead\s+of", r"(?:and\s+)?not", r"whereas", r"while", r"due\s+to",
    r"and\s+then(?=\s+(?:some|there|a|the)\b)", r"considering", r"after\s+\w+ing",
    r"(?<=, )car", r"parce\s+que", r"puisque", r"porque", r"ya\s+que", r"(?<=, )pues", r"puesto\s+que",
    r"(?<=, )pois", r"já\s+que", r"perché",
    r"poiché", r"weil", r"denn", r"(?<=, )da", r"так\s+как", r"потому\s+что", r"поскольку", r"ведь",
    r"क्योंकि", r"لأن\w*", r"حيث",
    r"çünkü", r"vì", r"bởi\s+vì", r"왜냐하면",
)  # fmt: skip
EXPLAINS_UNSPACED = (r"(?<=[，,])(?:比|其中|较)", "因为", "因為", "由于", "由於", "なぜなら")

# a value that one of these stands with is left open, wherever it stands in the sentence
OPEN = (
    r"or(?=\W+(?:\w+\W+){0,3}?[\d$\\(]|\s+(?:more|less|fewer|so|not|maybe|perhaps"
    r"|greater)\b)", r"maybe", r"perhaps", r"possibly",
    r"probably", r"might", r"(?-i:may)", r"could\s+(?:also\s+)?(?:be|equal)", r"likely", r"I\s+think", r"think\s+(?:it|that"
    r"|the\s+answer)", r"either(?=\W+(?:\w+\W+)?[\d$\\])",
    r"neither", r"if(?!\s+(?:he|she|they|it|you|we)\b)", r"unless", r"suppose", r"assume", r"assuming", r"let(?!['’]s"
    r"|\s+(?:us|me)\b)", r"guess", r"unsure", r"try", r"whether", r"imagine",
    r"except", r"at\s+least\s+one\s+of", r"unclear", r"roughly\s+guess\w*",
    r"ou", r"peut-être", r"si", r"soit", r"o", r"quizás?", r"tal\s+vez", r"talvez", r"oppure", r"forse", r"oder", r"vielleicht",
    r"wenn", r"falls", r"möglicherweise", r"wahrscheinlich", r"könnten?", r"или", r"может", r"возможно", r"если", r"вероятно",
    r"пусть", r"या", r"शायद", r"यदि", r"अगर", r"أو", r"ربما", r"قد", r"إذا", r"veya", r"ya\s+da", r"belki", r"eğer", r"hoặc",
    r"có\s+thể", r"nếu", r"또는", r"혹은", r"아마", r"만약",
)  # fmt: skip
OPEN_UNSPACED = (
    "[?？؟]",
    "或",
    "可能",
    "也许",
    "也許",
    "大概",
    "如果",
    "假设",
    "設",
    "または",
    "かもしれ",
    "もし",
    "아니면",
    r"\\text\{ ?or",
)
# what denies: in front of the value, or right behind it in languages whose verb stands last
DENIES = (
    r"not", r"isn't", r"aren't", r"cannot", r"can't", r"doesn't", r"don't", r"never", r"n't", r"pas", r"ne", r"n'est",
    r"no\s+(?:es|son|hay|puede|tiene|está)", r"não", r"non", r"nicht", r"keine?n?", r"не", r"नहीं", r"ليس", r"ليست", r"لا",
    r"değil", r"không",
)  # fmt: skip
DENIES_UNSPACED = (
    r"不(?!同|等式|论|管|变|重)",
    "并非",
    "≠",
    r"\\neq?\b",
    "ではな",
    "ではあり",
    "でない",
    "아닙",
    "아니",
    "n['’]t",
)

BOUNDS = (
    r"at\s+(?:least|most)", r"(?:no|not)\s+(?:more|less|fewer|greater|smaller|larger)\s+than",
    r"(?:strictly\s+)?(?:more|less|fewer|greater|smaller|larger|bigger|higher|lower)\s+than(?:\s+or\s+equal\s+to)?",
    r"up\s+to", r"under", r"over", r"above", r"below", r"between", r"bounded\s+(?:above\s+"
    r"|below\s+)?by", r"exceeds?", r"within",
    r"a\s+(?:maximum|minimum)\s+of", r"as\s+(?:many|much|few|little)\s+as", r"almost", r"nearly", r"beyond",
    r"close\s+to", r"far\s+from", r"anything\s+but",
    r"au\s+(?:moins|plus)", r"(?:plus|moins)\s+(?:de|que)", r"(?:supérieure?"
    r"|inférieure?)s?\s+(?:ou\s+égale?s?\s+)?à", r"jusqu'à",
    r"entre", r"al\s+menos", r"por\s+lo\s+menos", r"como\s+(?:máximo|mínimo)", r"a\s+lo\s+sumo", r"(?:más|menos)\s+(?:de|que)",
    r"(?:mayor|menor|maior|menor)\s+(?:que|do\s+que|o\s+igual\s+(?:a|que))", r"hasta", r"pelo\s+menos", r"no\s+(?:máximo"
    r"|mínimo)",
    r"(?:mais|menos)\s+(?:de|do\s+que)", r"até", r"almeno", r"al\s+(?:massimo|minimo)", r"(?:più|meno)\s+di",
    r"(?:maggiore|minore)\s+di", r"fino\s+a", r"tra", r"mindestens", r"höchstens",
    r"(?:mehr|weniger|größer|kleiner)\s+als", r"bis\s+zu", r"zwischen", r"maximal", r"minimal",
    r"не\s+(?:менее|более|меньше|больше)", r"больше", r"меньше", r"более", r"менее", r"минимум", r"максимум", r"свыше", r"до",
    r"между", r"कम\s+से\s+कम", r"अधिकतम", r"न्यूनतम", r"(?:أكبر|أقل|أكثر|أصغر)\s+من", r"على\s+(?:الأقل"
    r"|الأكثر)", r"en\s+(?:az|fazla|çok)",
    r"ít\s+nhất", r"nhiều\s+nhất", r"hơn", r"tối\s+(?:đa|thiểu)", r"(?:lớn|nhỏ)\s+hơn", r"최소", r"최대",
)  # fmt: skip
BOUNDS_UNSPACED = (
    "至少", "至多", "最多", "最少", "大于(?:等于)?", "小于(?:等于)?", "大於", "小於", "超过", "超過", "不到",
    "多于", "少于", "少なくとも",
    "高々", "[<>≤≥]",
)  # fmt: skip
# bounds behind the value, a word or a unit between
BOUNDS_BEHIND = (
    r"(?:or|and)\s+(?:more|less|fewer|greater|above|below|up|over|under|higher|lower)", r"at\s+(?:least"
    r"|most)", r"at\s+the\s+(?:most|least)",
    r"minimum", r"maximum", r"ou\s+(?:plus|moins)", r"au\s+(?:moins|plus)", r"o\s+(?:más|menos)", r"como\s+(?:máximo|mínimo)",
    r"oder\s+(?:mehr|weniger)", r"से\s+(?:अधिक|कम|ज्यादा|ज़्यादा)", r"على\s+(?:الأقل|الأكثر)", r"'?[dt][ea]n\s+(?:fazla|az)",
)  # fmt: skip
BOUNDS_BEHIND_UNSPACED = ("以上", "以下", "未満", "未满", "以内", "이상", "이하", "미만", "초과", r"\+(?!\s*[\w\\(])")

# what a verb that closes a sentence adds to a value: "42です"
_VERBS_BEHIND = re.compile(
    r"\s*(?:です|である|となります|となる|になります|になる|だ|입니다|이다|이에요|है|हैं|होगा|होगी|बचे|olur|'?[dt][iıuü]r)\s*[.。।]?\s*$"
)


_LETTER = r"[\w\u0900-\u0963]"  # the vowel signs of Devanagari belong to its words


def words(spaced: Iterable[str], unspaced: Iterable[str] = ()) -> str:
    """Return one pattern for all the words; the spaced ones stand alone, the others may touch their neighbours."""
    alone = rf"(?<!{_LETTER})(?:" + "|".join(spaced) + rf")(?!{_LETTER})"
    touching = "|".join(unspaced)
    return f"(?:{alone}|{touching})" if touching else alone


def without_closing_verb(text: str) -> str:
    """Return `text` without the verb that closes it in languages that put the verb last."""
    return text if text.isascii() and "'" not in text else _VERBS_BEHIND.sub("", text)
