using Stig.Interop.Cuda;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;

namespace Stig.Model.Execution;

/// <summary>A device that was asked for cannot be used; the message says which, why, and what to do.</summary>
public sealed class DeviceException(string message) : Exception(message);

/// <summary>What a device is wanted for.</summary>
public enum DevicePurpose
{
    /// <summary>Refining images.</summary>
    Refinement,

    /// <summary>Measuring images: the CPU only, in this version.</summary>
    Measurement,

    /// <summary>Gradients and updates: the CPU only, in this version.</summary>
    Training,
}

/// <summary>Devices by the names users give them: "auto", "cpu", "cuda:N".</summary>
public static class Device
{
    /// <summary>The names that <see cref="Resolve"/> understands, for help texts.</summary>
    public const string Choices = "auto, cpu, cuda:N, cuda:all";

    /// <summary>Stands for every GPU that can be used.</summary>
    public const string AllGpus = "cuda:all";

    /// <summary>Environment variable that says which device "auto" is for refining.</summary>
    public const string PreferenceVariable = "STIG_DEVICE";

    private const string Auto = "auto";
    private const string Cpu = "cpu";
    private const string CudaPrefix = "cuda:";

    /// <summary>The device that a name stands for.</summary>
    /// <param name="name">"auto", "cpu" or "cuda:N".</param>
    /// <param name="purpose">What it is wanted for.</param>
    /// <param name="reason">For "auto": why it is this one, a sentence without its beginning; otherwise empty.</param>
    /// <returns>"cpu" or "cuda:N".</returns>
    /// <exception cref="DeviceException">The name is unknown, or the device cannot be used.</exception>
    public static string Resolve(string name, DevicePurpose purpose, out string reason)
    {
        ArgumentNullException.ThrowIfNull(name);
        reason = "";
        if (name == Cpu)
        {
            return Cpu;
        }

        string? limit = purpose switch
        {
            DevicePurpose.Training => "training computes on the CPU in this version.",
            DevicePurpose.Measurement => "images are measured on the CPU in this version.",
            _ => null,
        };
        if (name == Auto && limit is not null)
        {
            reason = limit;
            return Cpu;
        }

        string? preferred = name == Auto ? Environment.GetEnvironmentVariable(PreferenceVariable) : null;
        if (name == Auto && (preferred is null or "" or Auto))
        {
            int? first = CudaProbe.FirstUsable(out string problem);
            reason = first is null ? $"no GPU can be used: {problem}" : "the first GPU that can be used.";
            return first is null ? Cpu : $"{CudaPrefix}{first}";
        }

        if (preferred is not null)
        {
            reason = $"{PreferenceVariable} says so.";
            return preferred == Cpu ? Cpu : Gpu(preferred, null, $" ({PreferenceVariable})");
        }

        return Gpu(name, limit, "");
    }

    /// <summary>The devices that a name stands for: one, or for <see cref="AllGpus"/> every GPU that can be used.</summary>
    /// <param name="name">As for <see cref="Resolve"/>, or <see cref="AllGpus"/>.</param>
    /// <param name="purpose">What they are wanted for.</param>
    /// <param name="reason">As for <see cref="Resolve"/>.</param>
    /// <returns>"cpu", or one or more of "cuda:N".</returns>
    /// <exception cref="DeviceException">The name is unknown, or no device of it can be used.</exception>
    public static IReadOnlyList<string> ResolveAll(string name, DevicePurpose purpose, out string reason)
    {
        if (name != AllGpus || purpose == DevicePurpose.Training)
        {
            return [Resolve(name, purpose, out reason)];
        }

        reason = "";

        // The first GPU's reason not to be usable stands for a machine without any.
        string[] usable = [.. CudaProbe.UsableDevices().Select(ordinal => $"{CudaPrefix}{ordinal}")];
        return usable.Length > 0 ? usable : [Resolve($"{CudaPrefix}0", purpose, out _)];
    }

    /// <summary>The arithmetic that a device computes in when it is asked for one.</summary>
    /// <param name="asked">The arithmetic that was asked for; null for the one that suits the device: bfloat16 on a GPU; on the CPU
    /// bfloat16 on a processor with AMX, without Winograd also with AVX-512 BF16, else float32; the same on every start.</param>
    /// <param name="device">What <see cref="Resolve"/> gave: "cpu" or "cuda:N".</param>
    /// <param name="winograd">Whether convolutions in float32 may use Winograd on the CPU.</param>
    /// <exception cref="DeviceException">The device does not compute in it.</exception>
    public static Precision ResolvePrecision(Precision? asked, string device, bool winograd = true)
    {
        ArgumentNullException.ThrowIfNull(device);
        if (device != Cpu)
        {
            return asked ?? Precision.Bf16;
        }

        return asked switch
        {
            null => CpuPrecision.Faster(winograd),
            Precision.Bf16 when !CpuPrecision.HasBf16 => throw new DeviceException(
                "This processor has no bf16 arithmetic (AVX-512 BF16 or AMX). Use --precision f32 or auto."),
            Precision.Tf32 => throw new DeviceException("The CPU does not compute in tf32. Use --precision f32 or auto, or a GPU (--device cuda:0)."),
            Precision chosen => chosen,
        };
    }

    /// <summary>Opens a device.</summary>
    /// <param name="name">As for <see cref="Resolve"/>.</param>
    /// <param name="purpose">What it is wanted for.</param>
    /// <param name="winograd">Whether convolutions may use Winograd on the CPU.</param>
    /// <param name="precision">Arithmetic of the convolutions; null for the one that suits the device.</param>
    /// <param name="profile">Whether a GPU's work shall be shown to a profiler node by node.</param>
    /// <exception cref="DeviceException">The device cannot be used, does not compute in that precision, or has no profiler.</exception>
    internal static Executor Open(string name, DevicePurpose purpose, bool winograd, Precision? precision = Precision.F32, bool profile = false)
    {
        string resolved = Resolve(name, purpose, out _);
        Precision arithmetic = ResolvePrecision(precision, resolved, winograd);
        if (resolved != Cpu)
        {
            return new CudaExecutor(int.Parse(resolved.AsSpan(CudaPrefix.Length), System.Globalization.CultureInfo.InvariantCulture), arithmetic, profile);
        }

        if (purpose == DevicePurpose.Training && arithmetic != Precision.F32)
        {
            throw new DeviceException($"Training on the CPU computes in f32 only, not in {arithmetic.ToString().ToLowerInvariant()}. Use --precision f32.");
        }

        return profile
            ? throw new DeviceException("--profile shows a GPU's work to a profiler; on the CPU use perf instead, or name a GPU (--device cuda:0).")
            : new CpuExecutor(new CpuOptions(winograd, arithmetic == Precision.Bf16));
    }

    private static string Gpu(string name, string? limit, string origin)
    {
        if (!name.StartsWith(CudaPrefix, StringComparison.Ordinal) || !int.TryParse(name.AsSpan(CudaPrefix.Length), out int ordinal) || ordinal < 0)
        {
            throw new DeviceException($"There is no device \"{name}\"{origin}. Choose one of {Choices}.");
        }

        string? problem = limit ?? CudaProbe.WhyUnusable(ordinal);
        return problem is null
            ? $"{CudaPrefix}{ordinal}"
            : throw new DeviceException($"Device {name}{origin} cannot be used: {problem} Use --device cpu or --device auto.");
    }
}
