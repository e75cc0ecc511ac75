"""The sentences that a node says to people, in their language."""

from bastion.gateway.contract import Language

_WORDS: dict[str, tuple[str, str]] = {
    # key: (Chinese, English)
    "unreachable_portal": (
        "门户暂时无法访问, 不能建立新会话. 请稍后重试.",
        "The portal cannot be reached, so no new session can begin. Please try again later.",
    ),
    "node_full": (
        "堡垒机节点磁盘空间不足, 暂不能建立新会话. 请联系管理员.",
        "The bastion's node is short of disk space, so no new session begins. Tell an administrator.",
    ),
    "bad_name": (
        "用户名格式不对. 可用: 用户, 用户#资源, 用户@账号@资源.",
        "This user name cannot be read. Use: user, user#resource, user@account@resource.",
    ),
    "no_target": (
        "请在用户名中写明资源, 如 用户#资源; 菜单只在终端中提供.",
        "Name the resource, as in user#resource: the menu is for terminals only.",
    ),
    "ambiguous": ("名称不唯一, 请选用下列之一:", "More than one resource has this name. Choose one of:"),
    "work_hint": (
        "请说明工作内容: 用户名写作 用户#资源~INC-000123, 或 ssh -o SetEnv=RDMP_WORK=…, 或在终端中登录后选择.",
        "Say what you work on: log in as user#resource~INC-000123, with ssh -o SetEnv=RDMP_WORK=…, or in a terminal.",
    ),
    "work_ask": ("请选择编号, 或输入工单号或原因: ", "Choose a number, or type a ticket or a reason: "),
    "target_unreachable": ("无法连接 {name}: {why}.", "{name} cannot be reached: {why}."),
    "target_refused": (
        "{name} 拒绝了账号 {account} 的登录凭据. 请联系管理员更新凭据.",
        "{name} refused the credentials of {account}. Ask an administrator to renew them.",
    ),
    "host_key_first": (
        "{name} 的主机密钥尚未确认 ({fingerprint}). 已上报, 请管理员确认后重试.",
        "The host key of {name} is not confirmed yet ({fingerprint}). Reported: an administrator must confirm it.",
    ),
    "host_key_changed": (
        "{name} 的主机密钥已改变 ({fingerprint}). 可能有人冒充该主机: 连接已阻断并告警.",
        "The host key of {name} has changed ({fingerprint}): it may be an impostor. Blocked, and an alarm was raised.",
    ),
    "own_needed": (
        "该资源需要您自己的账号密码, 请使用终端登录.",
        "This resource takes your own credentials: log in with a terminal.",
    ),
    "own_login": ("目标账号: ", "Account on the target: "),
    "own_password": ("{account} 的密码: ", "Password of {account}: "),
    "no_shell": ("目标主机拒绝了请求.", "The target refused the request."),
    "end_idle": ("长时间无操作, 会话已结束.", "The session ended: nobody used it for too long."),
    "end_total": ("会话已达最长时限, 已结束.", "The session ended: it reached its longest duration."),
    "end_window": ("授权时段已结束, 会话关闭.", "The session ended: the granted time is over."),
    "end_revoked": ("授权已撤销, 会话关闭.", "The session ended: the grant was revoked."),
    "end_killed": ("会话已被管理员断开.", "An administrator disconnected this session."),
    "end_lost": ("与目标主机的连接已中断.", "The connection to the target was lost."),
    "end_recording": (
        "无法写入录像, 会话已结束 (无录像则不可操作).",
        "The session ended because its recording cannot be written: nothing is done unrecorded.",
    ),
    "end_grace": ("门户长时间无法访问, 会话已结束.", "The session ended: the portal was away for too long."),
    "end_node": ("堡垒机节点正在停止, 会话已结束.", "The session ended: the bastion's node is stopping."),
    "warn_end": ("授权时段将在 {left} 后结束.", "The granted time ends in {left}."),
    "locked": ("会话已被锁定, 输入暂停.", "This session is locked: what you type is not passed on."),
    "unlocked": ("会话已解锁.", "This session is unlocked."),
    "said": ("{by}: {words}", "{by}: {words}"),
    "command_denied": ("命令被禁止: {piece}", "This command is not allowed: {piece}"),
    "command_warned": ("注意: 该命令已记录并上报: {piece}", "Careful: this command is recorded and reported: {piece}"),
    "command_review": ("命令等待复核: {piece}", "This command waits for approval: {piece}"),
    "command_refused": ("复核未通过, 命令已取消.", "The command was not approved and is cancelled."),
    "waits_in": ("正在等待 {who} 允许本次登录 …", "Waiting for {who} to let you in …"),
    "let_in": ("已获准登录.", "You are let in."),
    "not_let_in": ("未获准登录, 会话已结束.", "Nobody let you in: the session ended."),
    "command_approved": ("复核通过.", "The command was approved."),
    "no_files": ("没有文件传输权限.", "You may not transfer files here."),
    "no_paste": ("没有粘贴权限, 输入已丢弃.", "You may not paste here: what was pasted is thrown away."),
    "no_session": ("会话已结束.", "This session is over."),
    "guest_came": ("{name} 已加入会话 ({may}).", "{name} has joined this session ({may})."),
    "guest_left": ("{name} 已离开会话.", "{name} has left this session."),
    "may_view": ("只读", "may look on"),
    "may_type": ("可输入", "may type"),
    "menu_title": ("RDMP 堡垒机 - {name}", "RDMP bastion - {name}"),
    "menu_help": (
        "输入编号连接, 输入文字筛选, 空行显示全部, n/p 翻页, q 退出.",
        "A number connects, words filter, an empty line shows all, n/p turn pages, q quits.",
    ),
    "menu_none": ("没有匹配的资源.", "No resource matches."),
    "menu_page": ("第 {page}/{pages} 页, 共 {count} 项", "Page {page}/{pages}, {count} in all"),
    "menu_account": ("请选择账号编号: ", "Choose the number of an account: "),
    "menu_more": ("仅显示前 {count} 项, 请输入文字筛选.", "Only the first {count} are shown: type to filter."),
    "menu_wrong": ("没有这个编号.", "There is no such number."),
    "menu_bye": ("再见.", "Goodbye."),
    "connecting": ("正在连接 {name} …", "Connecting to {name} …"),
}


def say(language: Language, key: str, **parts: object) -> str:
    chinese, english = _WORDS[key]
    return (chinese if language is Language.ZH else english).format(**parts)


def duration(language: Language, seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole >= 90:
        minutes = round(whole / 60)
        return f"{minutes} 分钟" if language is Language.ZH else f"{minutes} minutes"
    return f"{whole} 秒" if language is Language.ZH else f"{whole} seconds"
