using Stig.Model.Execution.Cpu;

namespace Stig.Model.Execution;

/// <summary>A device that was asked for cannot be used; the message says which, why, and what to do.</summary>
public sealed class DeviceException(string message) : Exception(message);

/// <summary>Devices by the names users give them: "auto", "cpu", "cuda:N".</summary>
public static class Device
{
    /// <summary>The names that <see cref="Resolve"/> understands, for help texts.</summary>
    public const string Choices = "auto, cpu, cuda:N";

    /// <summary>The device that a name stands for.</summary>
    /// <param name="name">"auto", "cpu" or "cuda:N".</param>
    /// <param name="reason">For "auto": why it is this one; otherwise empty.</param>
    /// <returns>"cpu" or "cuda:N".</returns>
    /// <exception cref="DeviceException">The name is unknown, or the device cannot be used.</exception>
    public static string Resolve(string name, out string reason)
    {
        ArgumentNullException.ThrowIfNull(name);
        reason = "";
        switch (name)
        {
            case "cpu":
                return "cpu";
            case "auto":
                reason = "this version computes on the CPU only";
                return "cpu";
            default:
                bool cuda = name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(name.AsSpan(5), out int index) && index >= 0;
                throw new DeviceException(cuda
                    ? $"Device {name} cannot be used: this version computes on the CPU only. Use --device cpu or --device auto."
                    : $"There is no device \"{name}\". Choose one of {Choices}.");
        }
    }

    /// <summary>Opens a device.</summary>
    /// <param name="name">As for <see cref="Resolve"/>.</param>
    /// <param name="winograd">Whether convolutions may use Winograd on the CPU.</param>
    internal static Executor Open(string name, bool winograd)
    {
        _ = Resolve(name, out _);
        return new CpuExecutor(new CpuOptions(winograd));
    }
}
