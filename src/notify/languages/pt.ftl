# O que dizem as mensagens, em português.

amount = { $figure } { $currency }
thousands = .
decimal = ,
day = { $day } de { $month ->
    [jan] janeiro
    [feb] fevereiro
    [mar] março
    [apr] abril
    [may] maio
    [jun] junho
    [jul] julho
    [aug] agosto
    [sep] setembro
    [oct] outubro
    [nov] novembro
   *[dec] dezembro
} de { $year }
moment = { $date }, às { $time }

signup-code =
    .subject = O seu código para { $site }
    .mail =
        Alguém, provavelmente você, pediu "{ $plan }" em { $site } com este endereço de e-mail.

        O seu código:

        { $code }

        Escreva-o onde se registou. É válido por { $minutes } minutos.

        Ou abra esta ligação em qualquer dispositivo e prima o botão. Num dispositivo diferente daquele em que se registou, mostra-lhe uma nova palavra-passe, que vale em vez da que escolheu:

        { $link }

        Se não foi você, não faça nada: sem o código ou a ligação nada é criado.
    .sms = { $code } é o seu código para { $site }. Válido por { $minutes } minutos. Não o dê a ninguém.

signup-known =
    .subject = O seu código para { $site }
    .mail =
        Alguém, provavelmente você, registou-se em { $site } com este endereço de e-mail. Já tem lá uma conta, por isso não é criada uma segunda.

        Para entrar com este código, escreva-o onde se registou:

        { $code }

        É válido por { $minutes } minutos. Não o dê a ninguém: abre a sua conta.

        Se não foi você, não faça nada.
    .sms = { $code } é o seu código para { $site }. Válido por { $minutes } minutos. Não o dê a ninguém: abre a sua conta.

channel-test =
    .subject = Um teste de { $site }
    .mail =
        Esta mensagem mostra que os e-mails de { $site } chegam. O código para o confirmar:

        { $code }

        É válido por { $minutes } minutos.
    .sms = { $code } confirma que os SMS de { $site } chegam. Válido por { $minutes } minutos.

receipt =
    .subject = Recebemos { $amount }
    .mail =
        Recebemos { $amount } em { $date }. Obrigado.

        Referência: { $reference }

        Os seus pagamentos e facturas: { $link }

        { $site }
    .sms = { $site }: recebemos { $amount } em { $date }. Referência { $reference }. Obrigado.

refunded =
    .subject = Devolvemos { $amount }
    .mail =
        Devolvemos-lhe { $amount } pelo meio com que pagou. Pode demorar alguns dias.

        Referência: { $reference }

        Os seus pagamentos e facturas: { $link }

        { $site }
    .sms = { $site }: devolvemos-lhe { $amount } ({ $date }). Referência { $reference }. Pode demorar alguns dias.

invoice-issued =
    .subject = Factura { $number }
    .mail =
        A sua factura { $number } de { $amount } está pronta. Pague-a, por favor, até { $date }.

        Veja-a e pague-a aqui: { $link }

        { $site }
    .sms = { $site }: factura { $number } de { $amount }, a pagar até { $date }: { $link }

reminder =
    .subject = { $amount } a pagar até { $date }
    .mail =
        Um lembrete: { $amount } da factura { $number } deve ser pago até { $date }.

        Pague aqui: { $link }

        Se já pagou, obrigado; não há mais nada a fazer.

        { $site }
    .sms = { $site }: { $amount } da factura { $number } a pagar até { $date }: { $link }

due =
    .subject = { $amount } por pagar
    .mail =
        { $amount } da factura { $number } está por pagar desde { $date }. Pague, por favor, para que o seu serviço continue.

        Pague aqui: { $link }

        { $site }
    .sms = { $site }: { $amount } da factura { $number } está por pagar. Pague para que o seu serviço continue: { $link }

throttled =
    .subject = O seu serviço ficou mais lento
    .mail =
        { $amount } não foi pago, por isso o seu serviço ficou mais lento. Volta à velocidade total assim que pagar.

        Pague aqui: { $link }

        { $site }
    .sms = { $site }: { $amount } não foi pago, por isso o seu serviço está mais lento. Pague: { $link }

garden =
    .subject = Pague, por favor, para continuar
    .mail =
        { $amount } não foi pago, por isso só esta página está acessível até pagar. Depois volta logo a estar ligado.

        Pague aqui: { $link }

        { $site }
    .sms = { $site }: { $amount } não foi pago, o seu serviço está parado. Volta assim que pagar: { $link }

suspended =
    .subject = O seu serviço está suspenso
    .mail =
        { $amount } não foi pago, por isso o seu serviço está suspenso. Volta logo a estar ligado quando pagar.

        Pague aqui: { $link }

        { $site }
    .sms = { $site }: { $amount } não foi pago, o seu serviço está suspenso. Volta assim que pagar: { $link }

restored =
    .subject = O seu serviço voltou
    .mail =
        Obrigado. O seu serviço "{ $plan }" voltou.

        { $site }
    .sms = { $site }: obrigado. O seu serviço "{ $plan }" voltou.

terminated =
    .subject = O seu serviço terminou
    .mail =
        O seu serviço "{ $plan }" terminou, porque { $amount } não foi pago. Para voltar, entre e escolha um plano, ou fale connosco.

        { $link }

        { $site }
    .sms = { $site }: o seu serviço "{ $plan }" terminou, porque { $amount } não foi pago. Para voltar: { $link }

low-balance =
    .subject = O seu saldo está baixo
    .mail =
        "{ $plan }" é renovado em { $date } por { $amount }, e o seu saldo é de { $balance }. Carregue-o antes disso para continuar ligado.

        Carregue aqui: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" renova em { $date } por { $amount }; o seu saldo é de { $balance }. Carregue: { $link }

renewed =
    .subject = Renovado até { $date }
    .mail =
        "{ $plan }" foi renovado por { $amount } e vale até { $date }.

        A sua conta: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" foi renovado por { $amount } e vale até { $date }.

renewal-failed =
    .subject = O seu plano não foi renovado
    .mail =
        "{ $plan }" não pôde ser renovado: custa { $amount }, e o seu saldo é de { $balance }. Termina em { $date }.

        Pague aqui: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" não foi renovado: custa { $amount }, o seu saldo é de { $balance }. Termina em { $date }: { $link }

voucher =
    .subject = O seu vale para { $site }
    .mail =
        O seu vale para "{ $plan }":

        { $code }

        Escreva-o em { $link } antes de { $date }. Quem tiver o código pode usá-lo.

        { $site }
    .sms = { $site }: vale para "{ $plan }": { $code } . Use-o antes de { $date } em { $link }

password-changed =
    .subject = A sua palavra-passe foi mudada
    .mail =
        A palavra-passe da sua conta em { $site } foi mudada em { $date }.

        Se não foi você, fale connosco imediatamente.
    .sms = { $site }: a palavra-passe da sua conta foi mudada. Se não foi você, fale connosco imediatamente.

trial-ending =
    .subject = O seu período de teste termina em { $date }
    .mail =
        O seu período de teste de "{ $plan }" termina em { $date }. A partir daí custa { $amount }.

        Continue aqui: { $link }

        { $site }
    .sms = { $site }: o teste de "{ $plan }" termina em { $date }. A partir daí custa { $amount }: { $link }

top-up =
    .subject = { $what } acrescentado
    .mail =
        { $what } foi acrescentado ao seu serviço por { $amount }. Vale até { $date }.

        A sua conta: { $link }

        { $site }
    .sms = { $site }: { $what } acrescentado por { $amount }. Vale até { $date }.

quota-low =
    .subject = { $percent }% do seu plano está usado
    .mail =
        Já usou { $percent }% do que "{ $plan }" tem para este período.

        Mais dados ou tempo: { $link }

        { $site }
    .sms = { $site }: { $percent }% de "{ $plan }" está usado neste período. Mais: { $link }

quota-spent =
    .subject = O seu plano esgotou-se
    .mail =
        O que "{ $plan }" tem para este período esgotou-se.

        Mais dados ou tempo: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" esgotou-se neste período. Mais: { $link }
