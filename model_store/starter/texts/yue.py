"""Cantonese as it is spoken and written in Hong Kong: everyday talk, banking, travel, weather, numbers, commands."""

from __future__ import annotations

from model_store.starter.texts.grammar import Grammar

WORDS = {
    "place": ("中環", "旺角", "沙田", "機場", "屋企", "公司", "學校", "醫院", "銀行"),
    "name": ("陳先生", "李小姐", "黃醫生", "張太", "阿明", "林生", "王小姐"),
    "day": ("今日", "聽日", "後日", "星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
    "hour": ("一", "兩", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"),
    "minute": ("", "半", "三個字", "九個字"),
    "part": ("朝早", "晏晝", "下晝", "夜晚", "今晚"),
    "when": ("{part}{hour}點{minute}",),
    "who": ("我", "你", "佢", "我哋", "你哋", "佢哋", "我老婆", "我阿媽", "我爸爸", "個客"),
    "food": ("奶茶", "咖啡", "蛋撻", "叉燒飯", "點心", "生果", "牛肉", "魚", "雞蛋", "粥"),
    "measure": ("杯", "個", "碗", "斤"),
    "money": ("十", "二十", "三十", "五十", "八十", "一百", "三百", "六百", "兩千", "四千", "一萬"),
    "vehicle": ("巴士", "的士", "地鐵", "小巴", "飛機"),
    "weather": ("落雨", "打風", "好凍", "好熱", "好天"),
    "device": ("冷氣", "電視", "房燈", "個窗", "音樂"),
    "product": ("信用卡", "定期存款", "股票", "保險"),
    "thing": ("戶口", "月結單", "密碼", "地址", "電話號碼", "航班", "電郵"),
    "act": ("查", "改", "取消", "確認", "更新", "寄"),
    "task": ("開會", "食藥", "接仔女", "交租", "去機場", "買餸", "睇醫生", "打電話畀阿媽", "還書"),
    "want": ("想食", "想飲", "鍾意", "唔鍾意", "要買", "未食過"),
    "body": ("頭", "牙", "手", "腳", "眼"),
    "fun": ("睇戲", "行山", "飲茶", "食飯", "游水", "唱歌", "行街"),
    "where": ("喺邊度", "點去呀", "幾點開門", "幾點收工"),
    "go": ("坐{vehicle}", "搭{vehicle}", "行路"),
}

PATTERNS = (
    "{place}{where}",
    "唔該去{place}幾多錢",
    "我想{act}我嘅{thing}",
    "{act}{thing}",
    "唔該幫我{act}{thing}",
    "我想問下{product}嘅利息係幾多",
    "我哋而家喺{place}",
    "{who}{day}{go}去{place}",
    "{day}會唔會{weather}呀",
    "{day}{part}{weather}記得帶遮",
    "我嘅電話號碼係{digits8}",
    "驗證碼係{digits4}",
    "房號係{digits3}唔該開門",
    "{day}{when}提我{task}",
    "開{device}",
    "唔該熄咗{device}",
    "{who}{want}{food}同{food}",
    "呢{measure}{food}幾錢",
    "{food}一{measure}賣{money}蚊",
    "過{money}蚊畀{name}",
    "我要攞{money}蚊",
    "{name}早晨你好嗎",
    "唔該打電話畀{name}",
    "{who}{day}{body}好痛",
    "{who}尋日{go}去{place}",
    "尋日{weather}",
    "而家係{when}",
    "{day}{part}一齊去{fun}好唔好",
    "{who}{when}喺{place}等你",
    "對唔住我{day}冇時間{fun}",
    "多謝你幫我{task}",
    "佢係咪{name}呀",
    "{who}識講廣東話同英文",
    "呢啲{food}太貴平啲得唔得",
    "{who}食咗{food}未呀",
    "嗰個係{who}嘅{thing}",
    "冇問題{day}見",
    "點解{who}{day}冇返工",
    "{who}諗住{day}{fun}",
    "我揾唔到{place}",
    "{who}住喺{place}{digits2}號",
)

GRAMMAR = Grammar(
    language="yue", voice="yue", joiner="", digits=tuple("零一二三四五六七八九"), words=WORDS, patterns=PATTERNS
)
