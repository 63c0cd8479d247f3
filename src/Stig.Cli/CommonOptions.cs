using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;
using Stig.Interop;
using Stig.Model.Execution;

namespace Stig.Cli;

/// <summary>What --precision takes.</summary>
internal enum PrecisionChoice
{
    Auto,
    F32,
    Tf32,
    Bf16,
}

/// <summary>Options that several commands have.</summary>
internal static class CommonOptions
{
    // Several times what the largest machines have; beyond a few ten thousand the system refuses threads, and the process ends without a word.
    private const int MaxThreads = 4096;

    public static Option<string> Device() => new("--device")
    {
        Description = $"Where to compute: {Model.Execution.Device.Choices}.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    public static Option<PrecisionChoice> Precision() =>
        Choice<PrecisionChoice>("--precision",
            "Arithmetic of the convolutions. auto: bf16 on a GPU and on a CPU with AMX, else f32; by the processor, never by a timing.");

    /// <summary>The arithmetic that was asked for; null when the device is to choose.</summary>
    public static Precision? Asked(this PrecisionChoice choice) => choice switch
    {
        PrecisionChoice.F32 => Model.Execution.Precision.F32,
        PrecisionChoice.Tf32 => Model.Execution.Precision.Tf32,
        PrecisionChoice.Bf16 => Model.Execution.Precision.Bf16,
        _ => null,
    };

    public static Option<int> Threads(string what = "Threads that compute") => Between(new Option<int>("--threads")
    {
        Description = $"{what}; at most {MaxThreads}. [default: one a processor]",
        HelpName = "N",
    }, 1, MaxThreads);

    public static Option<bool> Json() => new("--json") { Description = "Write JSON instead of text." };

    /// <summary>An option whose values are the names of an enumeration, in lower case; the first is the default.</summary>
    public static Option<T> Choice<T>(string name, string description) where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(choice => choice.ToLowerInvariant())];
        return new Option<T>(name)
        {
            Description = $"{description} [default: {names[0]}]",
            HelpName = string.Join('|', names),
            CustomParser = result =>
            {
                string given = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                int index = Array.IndexOf(names, given);
                if (index < 0)
                {
                    result.AddError($"{name} is one of {string.Join(", ", names)}; it is {given}.");
                    return default;
                }

                return Enum.GetValues<T>()[index];
            },
        };
    }

    /// <summary>Demands a whole number of at least one.</summary>
    public static Option<T> Positive<T>(Option<T> option) where T : struct, IBinaryInteger<T>, IMinMaxValue<T> =>
        Between(option, T.One, T.MaxValue);

    /// <summary>Demands a whole number of at least zero.</summary>
    public static Option<T> NotNegative<T>(Option<T> option) where T : struct, IBinaryInteger<T>, IMinMaxValue<T> =>
        Between(option, T.Zero, T.MaxValue);

    /// <summary>Demands a whole number within bounds.</summary>
    public static Option<T> Between<T>(Option<T> option, T least, T most) where T : struct, IBinaryInteger<T>
    {
        option.CustomParser = result => Parse<T>(result, 0, $"a whole number from {least} to {most}", number => number >= least && number <= most);
        return option;
    }

    /// <summary>Demands a number.</summary>
    public static Option<double> Number(Option<double> option)
    {
        option.CustomParser = result => Parse<double>(result, 0, "a number such as 0.001", double.IsFinite);
        return option;
    }

    /// <summary>Demands whole numbers, at least one.</summary>
    public static Option<long[]> Numbers(Option<long[]> option)
    {
        option.CustomParser = result => [.. result.Tokens.Select((_, index) => Parse<long>(result, index, "a row of whole numbers", _ => true))];
        return option;
    }

    /// <summary>Heeds --device and --threads before anything long begins; says which device was chosen and why, where it was not named.</summary>
    /// <exception cref="DeviceException">The device cannot be used.</exception>
    public static string Apply(Terminal terminal, ParseResult parsed, Option<string> device, Option<int> threads, DevicePurpose purpose)
    {
        string name = Model.Execution.Device.Resolve(parsed.GetRequiredValue(device), purpose, out string reason);
        if (reason.Length > 0)
        {
            terminal.Line($"Device {name}: {reason}");
        }

        if (parsed.GetResult(threads) is not null)
        {
            NativeCore.Threads = parsed.GetValue(threads);
        }

        return name;
    }

    /// <summary>Whether an option stands on the command line.</summary>
    public static bool IsGiven(this ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    // In words of its own: the parser's name a type of the class library.
    private static T Parse<T>(ArgumentResult result, int index, string what, Func<T, bool> isGood) where T : struct, INumberBase<T>
    {
        string given = result.Tokens[index].Value;
        if (T.TryParse(given, NumberStyles.Float, CultureInfo.InvariantCulture, out T number) && isGood(number))
        {
            return number;
        }

        result.AddError($"{((OptionResult)result.Parent!).Option.Name} is {what}; it is {given}.");
        return default;
    }
}
