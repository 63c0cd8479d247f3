using System.CommandLine;
using System.CommandLine.Parsing;
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
    public static Option<string> Device() => new("--device")
    {
        Description = $"Where to compute: {Model.Execution.Device.Choices}.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    public static Option<PrecisionChoice> Precision() =>
        Choice<PrecisionChoice>("--precision", "Arithmetic of the convolutions. auto: bf16 on a GPU, f32 on the CPU.");

    /// <summary>The arithmetic that was asked for; null when the device is to choose.</summary>
    public static Precision? Asked(this PrecisionChoice choice) => choice switch
    {
        PrecisionChoice.F32 => Model.Execution.Precision.F32,
        PrecisionChoice.Tf32 => Model.Execution.Precision.Tf32,
        PrecisionChoice.Bf16 => Model.Execution.Precision.Bf16,
        _ => null,
    };

    public static Option<int> Threads() => Positive(new Option<int>("--threads")
    {
        Description = "Threads that compute. [default: one a processor]",
        HelpName = "N",
    });

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

    /// <summary>Demands a number of at least one.</summary>
    public static Option<T> Positive<T>(Option<T> option) where T : struct, IComparable<T> => AtLeast(option, "1", number => number >= 1);

    /// <summary>Demands a number of at least zero.</summary>
    public static Option<T> NotNegative<T>(Option<T> option) where T : struct, IComparable<T> =>
        AtLeast(option, "0", number => number >= 0);

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

    private static Option<T> AtLeast<T>(Option<T> option, string least, Func<decimal, bool> isEnough) where T : struct, IComparable<T>
    {
        option.Validators.Add(result =>
        {
            // What is no number at all is reported by the parser itself.
            string? text = result.Tokens.Count == 1 ? result.Tokens[0].Value : null;
            if (decimal.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out decimal number) && !isEnough(number))
            {
                result.AddError($"{option.Name} must be at least {least}; it is {text}.");
            }
        });
        return option;
    }
}
