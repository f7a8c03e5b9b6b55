# Saƙonni da Hausa. Abin da ba a nan ba ana faɗinsa da Turanci.

amount = { $currency } { $figure }
thousands = ,
decimal = .
day = { $day } ga { $month ->
    [jan] Janairu
    [feb] Fabrairu
    [mar] Maris
    [apr] Afrilu
    [may] Mayu
    [jun] Yuni
    [jul] Yuli
    [aug] Agusta
    [sep] Satumba
    [oct] Oktoba
    [nov] Nuwamba
   *[dec] Disamba
} { $year }
moment = { $date }, { $time }

signup-code =
    .subject = Lambarka ta { $site }
    .mail =
        Wani, watakila kai ne, ya nemi "{ $plan }" a { $site } da wannan adireshin imel.

        Lambarka:

        { $code }

        Rubuta ta a inda ka yi rajista. Tana aiki har minti { $minutes }.

        Ko kuma ka buɗe wannan hanyar a kowace na'ura ka danna maɓallin. A na'urar da ba ita ka yi rajista da ita ba, za ta nuna maka sabuwar kalmar sirri, wadda za ta yi aiki a maimakon wadda ka zaɓa:

        { $link }

        Idan ba kai ba ne, kada ka yi komai: ba a buɗe komai ba tare da lambar ko hanyar ba.
    .sms = { $code } ita ce lambarka ta { $site }. Tana aiki har minti { $minutes }. Kada ka ba kowa.

signup-known =
    .subject = Lambarka ta { $site }
    .mail =
        Wani, watakila kai ne, ya yi rajista a { $site } da wannan adireshin imel. Kana da asusu a can riga, saboda haka ba a buɗe na biyu ba.

        Domin shiga da wannan lambar, rubuta ta a inda ka yi rajista:

        { $code }

        Tana aiki har minti { $minutes }. Kada ka ba kowa: tana buɗe asusunka.

        Idan ba kai ba ne, kada ka yi komai.
    .sms = { $code } ita ce lambarka ta { $site }. Tana aiki har minti { $minutes }. Kada ka ba kowa: tana buɗe asusunka.

channel-test =
    .subject = Gwaji daga { $site }
    .mail =
        Wannan saƙon ya nuna cewa imel daga { $site } yana isowa. Lambar tabbatarwa:

        { $code }

        Tana aiki har minti { $minutes }.
    .sms = { $code } ta tabbatar cewa SMS daga { $site } yana isowa. Tana aiki har minti { $minutes }.

receipt =
    .subject = Mun karɓi { $amount }
    .mail =
        Mun karɓi { $amount } a ran { $date }. Mun gode.

        Lambar shaida: { $reference }

        Biyanka da takardun kuɗinka: { $link }

        { $site }
    .sms = { $site }: mun karɓi { $amount } a ran { $date }. Lambar shaida { $reference }. Mun gode.

refunded =
    .subject = Muna mayar da { $amount }
    .mail =
        Muna mayar maka da { $amount } ta hanyar da ka biya. Zai iya ɗaukar kwanaki kaɗan.

        Lambar shaida: { $reference }

        Biyanka da takardun kuɗinka: { $link }

        { $site }
    .sms = { $site }: muna mayar maka da { $amount } ({ $date }). Lambar shaida { $reference }. Zai iya ɗaukar kwanaki kaɗan.

suspended =
    .subject = An dakatar da sabis ɗinka
    .mail =
        Ba a biya { $amount } ba, saboda haka an dakatar da sabis ɗinka. Za ka dawo kan layi nan take idan ka biya.

        Biya a nan: { $link }

        { $site }
    .sms = { $site }: ba a biya { $amount } ba, saboda haka an dakatar da sabis ɗinka. Biya domin dawowa nan take: { $link }

restored =
    .subject = Sabis ɗinka ya dawo
    .mail =
        Mun gode. Sabis ɗinka "{ $plan }" ya dawo.

        { $site }
    .sms = { $site }: mun gode. Sabis ɗinka "{ $plan }" ya dawo.

password-changed =
    .subject = An canza kalmar sirrinka
    .mail =
        An canza kalmar sirri ta asusunka a { $site } a ran { $date }.

        Idan ba kai ba ne, ka yi mana magana nan take.
    .sms = { $site }: an canza kalmar sirri ta asusunka. Idan ba kai ba ne, ka yi mana magana nan take.
