"""Mandarin: everyday talk, banking, travel, weather, numbers and commands."""

from __future__ import annotations

from model_store.starter.texts.grammar import Grammar

WORDS = {
    "city": ("北京", "上海", "广州", "南京", "西安", "天津", "香港", "成都"),
    "name": ("张明", "王芳", "李娜", "刘洋", "陈静", "小红", "黄先生", "周老师", "林医生"),
    "day": ("今天", "明天", "后天", "昨天", "周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "hour": ("一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"),
    "minute": ("", "半", "十分", "二十分", "四十五分"),
    "part": ("早上", "上午", "中午", "下午", "晚上"),
    "when": ("{part}{hour}点{minute}",),
    "product": ("信用卡", "定期存款", "理财产品", "基金", "股票", "保险", "房贷"),
    "act": ("查询", "办理", "取消", "修改", "确认", "更新", "下载", "发送"),
    "thing": ("账单", "余额", "订单", "合同", "密码", "地址", "电话号码", "航班", "车票", "报告", "邮件"),
    "since": ("上个月的", "今天的", "去年的", "我的", ""),
    "weather": ("下雨", "下雪", "刮风", "很冷", "很热"),
    "device": ("空调", "车窗", "收音机", "导航", "客厅的灯", "房间的灯", "电视", "音乐"),
    "place": ("机场", "火车站", "大学", "医院", "公园", "银行", "超市", "酒店", "地铁站"),
    "task": ("开会", "吃药", "接孩子", "交房租", "去机场", "买菜", "还书", "给妈妈打电话"),
    "fruit": ("苹果", "西瓜", "牛奶", "鸡蛋", "面包", "米饭", "茶", "水", "牛肉", "鱼"),
    "tens": ("十", "二十", "三十", "五十", "八十", "九十", "一百", "三百", "六百", "两千", "四千", "一万"),
    "person": ("我", "你", "他", "我们", "他们", "我朋友", "我爸爸", "我妈妈", "老师", "医生"),
    "body": ("头", "牙", "手", "眼睛", "脚"),
    "how": ("怎么走", "远不远", "在哪里", "几点开门"),
    "ticket": ("火车票", "机票", "汽车票"),
    "rate": ("利率", "收益", "风险", "费用"),
    "verb": ("喜欢", "想吃", "要买", "不喜欢", "没有"),
}

PATTERNS = (
    "请帮我{act}{since}{thing}",
    "请{act}{thing}",
    "我想{act}{product}",
    "{city}{day}的天气怎么样",
    "{day}{city}会{weather}吗",
    "我的手机号是{digits8}",
    "我的电话号码是{digits5}",
    "密码是{digits4}",
    "房间号是{digits3}请开门",
    "请给{name}打电话",
    "{day}{when}提醒我{task}",
    "从{city}到{city}的{ticket}多少钱",
    "{name}你好我是{name}",
    "打开{device}",
    "请关掉{device}",
    "导航到{city}{place}",
    "{product}的{rate}是多少",
    "请问{place}{how}",
    "{fruit}多少钱一斤",
    "{person}{verb}{fruit}和{fruit}",
    "给{name}转账{tens}元",
    "我要取{tens}块钱",
    "{person}{day}{part}{body}疼",
    "{person}{day}要去{city}出差",
    "现在是{when}",
    "{person}{when}到{place}",
    "{day}{part}我们一起去{place}好吗",
    "谢谢你帮我{task}",
    "对不起我{day}不能{task}",
    "{person}会说英语和中文",
    "这个{fruit}太贵了",
    "{person}在{place}等你",
)

GRAMMAR = Grammar(
    language="zh",
    # Plain `cmn` reads characters through English letter names; this voice speaks them.
    voice="cmn-latn-pinyin",
    joiner="",
    digits=tuple("零一二三四五六七八九"),
    words=WORDS,
    patterns=PATTERNS,
)
